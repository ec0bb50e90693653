"""The look of a report: light, dark and printed, wide and narrow; no font or picture from anywhere else."""

STYLE = """
:root{--shade:#0005;--ink:#1c2024;--soft:#565d66;--paper:#fff;--card:#f5f6f8;--edge:#d4d8dd;--grid:#e6e8eb;--cell:#0072b2;
--c0:#0072b2;--c1:#c24d00;--c2:#00785a;--c3:#a8527f;--c4:#a06a00;--c5:#3d8fc4;
--good:#00694f;--look:#8a5a00;--bad:#b3261e;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--shade:#fff6;
--ink:#e7e9ec;--soft:#a6adb6;--paper:#15181c;--card:#1e2227;--edge:#3a4048;
--grid:#2b3037;--cell:#63b8f0;--c0:#58b0ec;--c1:#ff8a4c;--c2:#35c49a;--c3:#e69bc4;--c4:#f0b43c;--c5:#8ccbf5;
--good:#4fd0a5;--look:#f0b43c;--bad:#ff8a80}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.2rem;max-width:76rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans","DejaVu Sans",sans-serif;
overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2rem 0 .7rem;padding-bottom:.25rem;border-bottom:1px solid var(--edge)}
h3{font-size:.95rem;margin:0 0 .3rem;overflow-wrap:anywhere}section>h3:not(:nth-child(2)){margin-top:1.1rem}
p{margin:.3rem 0}
.soft,figcaption{color:var(--soft)}figcaption{font-size:.85rem}
.badge{display:inline-block;margin:.2rem 0 .5rem;padding:.15rem .7rem;
border-radius:1rem;font-weight:600;border:2px solid currentColor}
.good{color:var(--good)}.look{color:var(--look)}.bad{color:var(--bad)}
.cards,.figures{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr))}
.figures{grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}
.cards>div,figure{background:var(--card);border:1px solid var(--edge);border-radius:.5rem;padding:.8rem;margin:0;
min-width:0;break-inside:avoid}
.big{font-size:1.45rem;font-weight:600}
.verdict{list-style:none;padding:0;margin:.6rem 0}
.verdict li{display:grid;grid-template-columns:4.4rem 1fr;gap:.6rem;padding:.45rem 0;border-top:1px solid var(--grid);
break-inside:avoid}
.verdict li>div{min-width:0}
.mark{font-weight:600;white-space:nowrap}
pre{background:var(--card);border:1px solid var(--edge);border-radius:.4rem;padding:.6rem;margin:.4rem 0;
overflow-x:auto;font:.85rem/1.45 ui-monospace,
"Liberation Mono","DejaVu Sans Mono",monospace;
user-select:all;-webkit-user-select:all}
.verdict pre{padding:.25rem .5rem}
pre.text{white-space:pre-wrap;overflow-wrap:anywhere;user-select:auto;-webkit-user-select:auto}
code{font:.9em ui-monospace,"Liberation Mono","DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.scroll{--under:var(--paper);overflow-x:auto;max-width:100%;background:
linear-gradient(to right,var(--under) 30%,transparent) left/2.2rem 100% no-repeat local,
linear-gradient(to left,var(--under) 30%,transparent) right/2.2rem 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) left/.7rem 100% no-repeat scroll,
linear-gradient(to left,var(--shade),transparent) right/.7rem 100% no-repeat scroll}
.cards .scroll,figure .scroll{--under:var(--card)}.figures+.scroll{margin-top:.8rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th{font-weight:600}th[scope=row],td.text{text-align:left}
td.text,table.rows td{white-space:normal;overflow-wrap:anywhere}table.rows td{text-align:left}
table.rows th{white-space:nowrap;vertical-align:top}
table.bars{width:100%}table.bars th[scope=row]{white-space:normal;overflow-wrap:anywhere;width:99%;font-weight:400}
thead th:first-child{text-align:left}
.meter{display:block;margin:.15rem 0}.meter span{display:block;height:.45rem;min-width:1px;margin-bottom:1px}
.rmse{background:var(--c1)}.mae{background:var(--c5)}.chip{display:inline-block;width:.7rem;height:.7rem}
figure svg{display:block;width:100%;height:auto}
figure svg.atoms{width:auto;max-width:100%;max-height:15rem;margin:auto}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem .9rem;padding:0;margin:.3rem 0;font-size:.85rem}
.legend li{display:flex;align-items:center;gap:.35rem;min-width:0;overflow-wrap:anywhere}
.legend svg,figure .legend svg{width:auto;flex:none}
.paper{fill:var(--paper)}.frame{fill:none;stroke:var(--soft)}
.grid{stroke:var(--grid);fill:none}.tick,.name{fill:var(--ink);font-size:11.5px}
.line{fill:none;stroke-width:1.7;stroke-linejoin:round}.dashed{stroke-dasharray:6 4}.dotted{stroke-dasharray:2 3}
.dots{fill:none;stroke-linecap:round;stroke-width:4.4;stroke-opacity:.75}.dots.big{stroke-width:6.5}.dots.large{stroke-width:9;stroke-opacity:1}
.cell{fill:var(--cell)}.band{fill:var(--soft);opacity:.13}
.ring{fill:none;stroke-width:1.3}.ring.thick{stroke-width:3}.bond{stroke:var(--soft);stroke-width:3;fill:none}
.disc{stroke:#444;stroke-width:.8}
.ink{stroke:var(--soft)}.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}
.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}.bar{stroke:none}.bar.c5{fill:var(--c5)}
.bar.good{fill:var(--good)}.bar.look{fill:var(--look)}.bar.bad{fill:var(--bad)}
svg.beside{vertical-align:middle}table.bars th.group{text-align:left;padding-top:.7rem;color:var(--soft)}
@media (max-width:40rem){table{font-size:.82rem}th,td{padding:.25rem .35rem}th[scope=row],thead th{white-space:normal}
thead th+th{min-width:4.8rem}table.rows th{min-width:6.5rem}table.bars thead th{white-space:nowrap}}
details summary{cursor:pointer}
a{color:var(--c0)}
@page{margin:14mm}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--card:#fff;--edge:#bbb;--grid:#ddd;--cell:#0072b2;--c0:#0072b2;
--c1:#c24d00;--c2:#00785a;--c3:#a8527f;--c4:#a06a00;--c5:#3d8fc4;--good:#00694f;--look:#8a5a00;--bad:#b3261e;
color-scheme:light}
body{padding:0;max-width:none;font-size:10pt}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
h2,h3{break-after:avoid}.figures{grid-template-columns:1fr 1fr}.scroll{overflow:visible;background:none}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
table{font-size:8.5pt}th,td{padding:.2rem .35rem}tr{break-inside:avoid}}
"""
