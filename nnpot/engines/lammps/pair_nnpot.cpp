// LAMMPS pair style `nnpot`, a plugin:
//
//     pair_style nnpot
//     pair_coeff * * model.pt2 Cu Au      (the element of each atom type, NULL for types of other styles)
//
// Each rank hands the pairs around its own atoms to the package (nnpot/formats/aot.py), which returns atomic energies
// E_i and their derivatives with respect to the pair vectors, dE/dr_ij.  An atom i and its neighbour j get them as
// forces with opposite signs; what ghost atoms get goes back to their owners by LAMMPS' reverse communication, hence
// `newton on`.
//
// A model that knows how large its errors are likely to be tells it of each atom to `fix pair` (gamma,
// energy_uncertainty and forces_uncertainty, each with the flag 1), and of the whole system, at steps with
// thermodynamic output, to `compute pair`: the uncertainty of the energy, the largest gamma, and the number of atoms
// beyond the training data.

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include "guards.h"
#include "inputs.h"
#include "processor.h"
#include "sha256.h"
#include "unknown.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <mpi.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <climits>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

using namespace LAMMPS_NS;
using nnpot::Inputs;
using nnpot::lacking;
using nnpot::MIN_SIZE;
using nnpot::Unknown;
using nnpot::words_of;

namespace {

constexpr char FORMAT[] = "8";         // of packages, see nnpot/formats/aot.py
constexpr size_t DIGITS = 64;          // of the checksum that a package ends with
constexpr int CENTERS_AT_ONCE = 4096;  // so that memory stays bounded
constexpr int64_t NO_ELEMENT = -1;
constexpr double AT_ONE_PLACE = 1e-3;  // in Angstrom, as in nnpot/neighbors.py

using Package = torch::inductor::AOTIModelPackageLoader;

template <class T>
at::Tensor tensor(std::vector<T>& x, at::IntArrayRef shape) {
    return at::from_blob(x.data(), shape, at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
}

class PairNNPot : public Pair {
  public:
    explicit PairNNPot(LAMMPS* lammps) : Pair(lammps) {
        single_enable = restartinfo = 0;
        one_coeff = manybody_flag = 1;
        centroidstressflag = CENTROID_AVAIL;
        if (!std::getenv("OMP_NUM_THREADS")) at::set_num_threads(1);  // a rank is a core
    }

    ~PairNNPot() override {
        if (!allocated) return;
        memory->destroy(setflag);
        memory->destroy(cutsq);
    }

    void settings(int count, char**) override {
        if (count > 0) error->all(FLERR, "pair_style nnpot takes no arguments; the model stands in pair_coeff");
    }

    void coeff(int count, char** words) override {
        const int n = atom->ntypes;
        if (count != 3 + n || std::strcmp(words[0], "*") != 0 || std::strcmp(words[1], "*") != 0)
            error->all(FLERR, "it must be: pair_coeff * * model.pt2 and the elements of all {} atom types", n);
        open(words[2]);
        if (!allocated) allocate();
        element_of.assign(n + 1, NO_ELEMENT);
        masses_are_compared = false;
        for (int type = 1; type <= n; ++type) {
            const std::string name = words[2 + type];
            if (name == "NULL") continue;
            const auto found = std::find(elements.begin(), elements.end(), name);
            if (found == elements.end())
                error->all(FLERR, "{} knows the elements {}, not {} of atom type {}", words[2], known, name, type);
            element_of[type] = found - elements.begin();
        }
        for (int a = 1; a <= n; ++a)
            for (int b = a; b <= n; ++b) setflag[a][b] = element_of[a] >= 0 && element_of[b] >= 0;
    }

    void init_style() override {
        if (std::strcmp(update->unit_style, "metal") != 0)
            error->all(FLERR, "pair_style nnpot calculates in eV and Angstrom: it needs units metal, not {}",
                       update->unit_style);
        if (!force->newton_pair) error->all(FLERR, "pair_style nnpot needs newton on");
        compare_masses();
        neighbor->add_request(this, NeighConst::REQ_FULL);
    }

    double init_one(int a, int b) override {
        setflag[b][a] = setflag[a][b];
        return cutoff;
    }

    void compute(int energies_wanted, int virial_wanted) override {
        ev_init(energies_wanted, virial_wanted);
        if (neighbor->ago == 0) check_neighbors();
        const int n_atoms = atom->nlocal + atom->nghost;
        species.assign(std::max<int64_t>(n_atoms, MIN_SIZE), 0);
        for (int k = 0; k < n_atoms; ++k) species[k] = std::max<int64_t>(element_of[atom->type[k]], 0);
        const bool is_asked = is_calibrated && (unknown.is_asked() || eflag_global);
        if (is_asked) unknown.begin(atom->nmax);
        for (int first = 0; first < list->inum; first += CENTERS_AT_ONCE)
            compute_part(first, std::min(first + CENTERS_AT_ONCE, list->inum), is_asked);
        if (is_asked) unknown.finish(int(elements.size()) * width, world);
        if (vflag_fdotr) virial_fdotr_compute();
    }

    void* extract(const char* name, int& dimension) override {
        dimension = 0;
        std::string word = name;
        const size_t end = word.size() - std::min<size_t>(word.size(), std::strlen("_flag"));
        if (!is_calibrated || word.compare(end, std::string::npos, "_flag") != 0) return nullptr;
        const int place = Unknown::place_of(word.substr(0, end));
        return place < Unknown::N ? &unknown.flags[place] : nullptr;
    }

    void* extract_peratom(const char* name, int& columns) override {
        columns = 0;
        const int place = Unknown::place_of(name);
        if (!is_calibrated || place == Unknown::N) return nullptr;
        if (unknown.of_atoms[place].empty()) unknown.begin(atom->nmax);
        return unknown.of_atoms[place].data();
    }

  private:
    std::unique_ptr<Package> package;
    Unknown unknown;
    bool is_calibrated = false;
    int width = 0;  // of the deviations of energies; the same on all ranks
    std::vector<std::string> elements;
    std::vector<double> masses;  // of the elements, in u
    bool masses_are_compared = false;
    std::string known;
    double cutoff = 0;
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> element_of;  // by atom type
    std::vector<int64_t> species;     // element of every atom, ghosts included
    Inputs inputs;

    void allocate() {
        const int n = atom->ntypes;
        memory->create(setflag, n + 1, n + 1, "pair:setflag");
        memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
        for (int a = 0; a <= n; ++a)
            for (int b = 0; b <= n; ++b) setflag[a][b] = 0;
        allocated = 1;
    }

    void open(const char* path) {
        std::string problem;
        try {
            read(path);
        } catch (const std::exception& caught) {
            const std::string text = caught.what();
            problem = text.substr(0, text.find('\n'));
        }
        int rank, first;
        MPI_Comm_rank(world, &rank);
        const int mine = problem.empty() ? INT_MAX : rank;
        MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
        if (first == INT_MAX) return;
        int size = static_cast<int>(problem.size());  // all say what the first has met: words of one rank may be lost
        MPI_Bcast(&size, 1, MPI_INT, first, world);
        problem.resize(size);
        MPI_Bcast(problem.data(), size, MPI_CHAR, first, world);
        error->all(FLERR, "cannot use {}: {}; export the model again: nnpot export MODEL OUT --to lammps", path,
                   problem);
    }

    void read(const char* path) {
        check_seal(path);
        auto metadata = Package::load_metadata_from_package(path, "model");  // runs no code of the package
        check(metadata);
        package = std::make_unique<Package>(path);
        known = metadata["elements"];
        elements = words_of(known);
        masses.clear();
        for (const auto& word : words_of(metadata["masses"])) masses.push_back(std::stod(word));
        cutoff = std::stod(metadata["cutoff"]);
        dtype = metadata["dtype"] == "float64" ? at::kDouble : at::kFloat;
        is_calibrated = metadata["uncertainty"] == "yes";
        width = is_calibrated ? std::stoi(metadata["width"]) : 0;
        nextra = is_calibrated ? Unknown::N : 0;
        pvector = unknown.told;
    }

    // Compares the checksum of a package, its last digits, before anything of it is loaded.
    static void check_seal(const char* path) {
        std::ifstream file(path, std::ios::binary);
        if (!file) throw std::runtime_error("there is no such file");
        const std::string content{std::istreambuf_iterator<char>(file), {}};
        const std::string seal = "sha256 ";
        const size_t n = std::max(content.size(), DIGITS + seal.size()) - DIGITS;
        if (content.size() < n || content.compare(n - seal.size(), seal.size(), seal) != 0)
            throw std::runtime_error("it is not a complete package that this plugin reads");
        if (content.substr(n) != nnpot::sha256(content.data(), n))
            throw std::runtime_error("it has changed since it was written: its checksum differs");
    }

    static void check(std::unordered_map<std::string, std::string>& metadata) {
        if (metadata["nnpot"] != FORMAT) throw std::runtime_error("it is not a package that this plugin reads");
        if (metadata["torch"] != NNPOT_TORCH)
            throw std::runtime_error("it was made with PyTorch " + metadata["torch"] + ", this is " NNPOT_TORCH);
        const std::string missing = lacking(metadata["machine"], metadata["instructions"]);
        if (!missing.empty())
            throw std::runtime_error("it was made for another processor (" + metadata["processor"] +
                                     "), this one has no" + missing);
    }

    // Warns, once for a pair_coeff, of types that have the mass of another element.
    void compare_masses() {
        const std::string wrong = nnpot::mass_of_another(*atom, element_of, elements, masses);
        if (!wrong.empty() && !masses_are_compared && comm->me == 0) error->warning(FLERR, "{}", wrong);
        masses_are_compared = true;
    }

    // Complains if the lists that have just been made lack pairs.
    void check_neighbors() {
        const std::string wrong = nnpot::lacks_pairs(*atom, *neighbor, element_of);
        if (!wrong.empty()) error->one(FLERR, "{}", wrong);
    }

    int64_t id_of(int k) const { return atom->tag ? atom->tag[k] : k + 1; }

    // Energies and forces of the centres first ... last - 1 of the neighbour list.
    void compute_part(int first, int last, bool is_asked) {
        gather(first, last);
        const int64_t n = inputs.centers.size(), n_pairs = inputs.i.size(), n_elements = elements.size();
        const int64_t rows = inputs.order.size() / n_elements;
        std::vector<at::Tensor> results;
        try {
            std::vector<at::Tensor> given{tensor(inputs.vectors, {n_pairs, 3}).to(dtype),
                                          tensor(inputs.i, {n_pairs}),
                                          tensor(inputs.j, {n_pairs}),
                                          tensor(species, {int64_t(species.size())}),
                                          tensor(inputs.centers, {n}),
                                          tensor(inputs.order, {n_elements, rows}),
                                          tensor(inputs.place, {n}),
                                          tensor(inputs.filled, {n_elements, rows}).to(dtype)};
            if (is_calibrated) {
                inputs.ask(is_asked, n_elements);
                const int64_t asked = inputs.asked.size() / n_elements;
                given.push_back(tensor(inputs.asked, {n_elements, asked}));
                given.push_back(tensor(inputs.filled_asked, {n_elements, asked}).to(dtype));
            }
            results = package->run(given);
        } catch (const std::exception& problem) {
            error->one(FLERR, "pair_style nnpot: {}", problem.what());
        }
        const auto energies = results[0].contiguous(), gradient = results[1].to(at::kDouble).contiguous();
        check_results(first, last, energies.const_data_ptr<double>(), gradient.const_data_ptr<double>());
        add_energies(first, last, energies.const_data_ptr<double>());
        add_forces(first, gradient.const_data_ptr<double>());
        if (is_asked) add_unknown(first, last, results);
    }

    // What the package tells of the centres first ... last - 1 beside energies and forces.
    void add_unknown(int first, int last, const std::vector<at::Tensor>& results) {
        const auto gamma = results[2].to(at::kDouble).contiguous(),
                   deviations = results[3].to(at::kDouble).contiguous(),
                   force = results[4].to(at::kDouble).contiguous();
        unknown.sums.resize(elements.size() * width);
        for (int n = first; n < last; ++n) {
            const int64_t center = n - first, row = inputs.place[center];
            double* sum = unknown.sums.data() + inputs.centers[center] * width;
            unknown.add(list->ilist[n], gamma.const_data_ptr<double>()[row],
                        deviations.const_data_ptr<double>() + row * width, width, force.const_data_ptr<double>()[row],
                        sum);
        }
    }

    void gather(int first, int last) {
        inputs.clear();
        for (int n = first; n < last; ++n) {
            const int i = list->ilist[n];
            inputs.centers.push_back(species[i]);
            for (int k = 0; k < list->numneigh[i]; ++k) {
                const int j = list->firstneigh[i][k] & NEIGHMASK;
                const double *a = atom->x[i], *b = atom->x[j], r[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
                const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
                if (square < AT_ONE_PLACE * AT_ONE_PLACE)
                    error->one(FLERR, "atoms {} and {} are at one place at step {}", id_of(i), id_of(j),
                               update->ntimestep);
                if (square < cutoff * cutoff) inputs.add_pair(n - first, j, r);
            }
        }
        inputs.complete(int64_t(elements.size()), cutoff);
    }

    // Complains about the first centre that has no finite energy or forces.
    void check_results(int first, int last, const double* energies, const double* gradient) {
        const int64_t n_pairs = inputs.i.size(), n_centers = last - first;
        int64_t wrong = n_centers;
        for (int64_t center = n_centers; center-- > 0;)
            if (!std::isfinite(energies[center])) wrong = center;
        for (int64_t pair = 0; pair < n_pairs; ++pair)
            if (!std::isfinite(gradient[3 * pair] + gradient[3 * pair + 1] + gradient[3 * pair + 2]))
                wrong = std::min(wrong, inputs.i[pair]);
        if (wrong < n_centers)
            error->one(FLERR, "the potential gives no finite energy and forces for atom {} at step {}",
                       id_of(list->ilist[first + wrong]), update->ntimestep);
    }

    void add_energies(int first, int last, const double* energies) {
        for (int n = first; n < last; ++n) {
            if (eflag_global) eng_vdwl += energies[n - first];
            if (eflag_atom) eatom[list->ilist[n]] += energies[n - first];
        }
    }

    void add_forces(int first, const double* gradient) {
        double** f = atom->f;
        for (size_t pair = 0; pair < inputs.i.size(); ++pair) {
            const double *g = gradient + 3 * pair, *r = inputs.vectors.data() + 3 * pair;
            if (g[0] == 0 && g[1] == 0 && g[2] == 0) continue;  // also what only fills up the inputs
            const int i = list->ilist[first + inputs.i[pair]], j = int(inputs.j[pair]);
            for (int x = 0; x < 3; ++x) {
                f[i][x] += g[x];
                f[j][x] -= g[x];
            }
            if (vflag_either || cvflag_atom) add_virial(i, j, r, g);
        }
    }

    // -r_ij dE_i/dr_ij, half to each atom; for the heat current all of it to j, whose motion it goes with
    // (Z. Fan et al., Phys. Rev. B 92, 094301 (2015), eq. 25).
    void add_virial(int i, int j, const double* r, const double* g) {
        const double v[9] = {-r[0] * g[0], -r[1] * g[1], -r[2] * g[2], -r[0] * g[1], -r[0] * g[2],
                             -r[1] * g[2], -r[1] * g[0], -r[2] * g[0], -r[2] * g[1]};
        for (int k = 0; k < 6; ++k) {
            if (vflag_global) virial[k] += v[k];
            if (!vflag_atom) continue;
            vatom[i][k] += 0.5 * v[k];
            vatom[j][k] += 0.5 * v[k];
        }
        if (cvflag_atom)
            for (int k = 0; k < 9; ++k) cvatom[j][k] += v[k];
    }
};

Pair* make(LAMMPS* lammps) { return new PairNNPot(lammps); }

}  // namespace

// The interface of LAMMPS' plugins, as its lammpsplugin.h has it.
extern "C" void lammpsplugin_init(void* lammps, void* handle, void* registering) {
    struct Plugin {
        const char *version, *style, *name, *info, *author;
        void* creator;
        void* handle;
    } plugin{NNPOT_LAMMPS,
             "pair",
             "nnpot",
             "neural-network potentials of nnpot",
             "The nnpot developers",
             reinterpret_cast<void*>(make),
             handle};
    reinterpret_cast<void (*)(Plugin*, void*)>(registering)(&plugin, lammps);
}
