// The Python module of the engine: conversions, checks of arguments, and the GIL. It has no logic
// of its own.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "attention.hpp"
#include "calls.hpp"
#include "enumeration.hpp"
#include "grammar.hpp"
#include "primitives/table.hpp"
#include "vary.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace codeit;

namespace {

[[noreturn]] void reject(const std::string& message) { throw nb::value_error(message.c_str()); }

GridRef checked_grid(int64_t height, int64_t width, const std::vector<int8_t>& cells) {
    auto side = [](int64_t n, const char* name) {
        if (n < 1 || n > kMaxSide)
            reject("grid: expected 1 to 30 " + std::string(name) + ", found " + std::to_string(n));
    };
    side(height, "rows");
    side(width, "columns");
    for (size_t k = 0; k < cells.size(); ++k)
        if (cells[k] < 0 || cells[k] >= kColours)
            reject("row " + std::to_string(k / size_t(width)) + ", column " +
                   std::to_string(k % size_t(width)) + ": expected a colour of 0 to 9, found " +
                   std::to_string(int(cells[k])));
    auto made = Grid::make(int(height), int(width), cells.data());
    made->count();
    return made;
}

GridRef grid_from_rows(nb::object rows) {
    std::vector<int8_t> cells;
    size_t height = 0, width = 0;
    for (nb::handle row : rows) {
        size_t n = 0;
        for (nb::handle cell : row) {
            auto value = nb::cast<int64_t>(nb::handle(cell));
            cells.push_back(int8_t(std::clamp<int64_t>(value, -1, kColours)));
            ++n;
        }
        if (height == 0) width = n;
        if (n != width)
            reject("row " + std::to_string(height) + " has " + std::to_string(n) + " columns: expected " +
                   std::to_string(width) + ", as in row 0");
        ++height;
    }
    return checked_grid(int64_t(height), int64_t(width), cells);
}

GridRef grid_from_bytes(int64_t height, int64_t width, nb::bytes data) {
    if (height * width != int64_t(data.size()))
        reject("data: expected height * width = " + std::to_string(height * width) + " bytes, found " +
               std::to_string(data.size()));
    auto* begin = static_cast<const int8_t*>(data.data());
    return checked_grid(height, width, std::vector<int8_t>(begin, begin + data.size()));
}

nb::bytes grid_bytes(const Grid& g) { return nb::bytes(reinterpret_cast<const char*>(g.cells()), g.area()); }

// A new array: NumPy may write to it, while the grid is immutable.
nb::object grid_array(const Grid& g, nb::object dtype, nb::object copy) {
    if (copy.is(nb::bool_(false))) reject("a Grid cannot become an array without a copy");
    auto numpy = nb::module_::import_("numpy");
    auto cells = numpy.attr("frombuffer")(grid_bytes(g), "uint8");
    return numpy.attr("array")(cells.attr("reshape")(g.height(), g.width()), dtype);
}

nb::tuple grid_row(const Grid& g, int i) {
    nb::list row;
    for (int j = 0; j < g.width(); ++j) row.append(int(g.cells()[i * g.width() + j]));
    return nb::tuple(row);
}

int checked_index(nb::handle index, int n, const char* what) {
    auto k = nb::cast<int64_t>(index);
    if (k < -n || k >= n)
        throw nb::index_error(("grid: expected a " + std::string(what) + " from " + std::to_string(-n) + " to " +
                               std::to_string(n - 1) + ", found " + std::to_string(k)).c_str());
    return int(k < 0 ? k + n : k);
}

// grid[i] is a row as a tuple, grid[i, j] a colour; slices and the rest of NumPy's indexing give arrays.
nb::object grid_item(const Grid& g, nb::object key) {
    if (PyIndex_Check(key.ptr())) return grid_row(g, checked_index(key, g.height(), "row"));
    if (nb::isinstance<nb::tuple>(key) && nb::len(key) == 2 && PyIndex_Check(nb::object(key[0]).ptr()) &&
        PyIndex_Check(nb::object(key[1]).ptr())) {
        int i = checked_index(nb::object(key[0]), g.height(), "row");
        int j = checked_index(nb::object(key[1]), g.width(), "column");
        return nb::int_(int(g.cells()[i * g.width() + j]));
    }
    return grid_array(g, nb::none(), nb::none())[key];
}

// Equal to a grid of the same cells, or to the same rows as lists or tuples. Arrays compare themselves.
nb::object grid_equals(const Grid& g, nb::object other) {
    if (nb::isinstance<Grid>(other)) return nb::bool_(g == nb::cast<const Grid&>(other));
    auto is_rows = [](nb::handle h) { return nb::isinstance<nb::list>(h) || nb::isinstance<nb::tuple>(h); };
    if (!is_rows(other)) return nb::borrow(Py_NotImplemented);
    if (nb::len(other) != size_t(g.height())) return nb::bool_(false);
    int i = 0;
    for (nb::handle row : other)
        if (!is_rows(row) || !nb::tuple(nb::borrow(row)).equal(grid_row(g, i++))) return nb::bool_(false);
    return nb::bool_(true);
}

nb::list grid_rows(const Grid& g) {
    nb::list rows;
    const int8_t* cell = g.cells();
    for (int i = 0; i < g.height(); ++i) {
        nb::list row;
        for (int j = 0; j < g.width(); ++j) row.append(int(*cell++));
        rows.append(row);
    }
    return rows;
}

// Converts a value to int, bool, None, tuple or frozenset, and a function to its text.
nb::object to_python(Run& run, Value v);

std::string function_text(Run& run, Value v) {
    if (v.tag != Tag::Function) return nb::cast<std::string>(nb::repr(to_python(run, v)));
    const FunctionNode* f = v.function;
    if (f->kind == Closure::Primitive) return primitives()[f->primitive].name;
    static constexpr const char* names[] = {"", "compose", "chain", "matcher", "rbind", "lbind", "fork"};
    std::string text = names[int(f->kind)];
    for (int k = 0; k < f->n; ++k) text += (k ? ", " : "(") + function_text(run, f->captured[k]);
    return text + ")";
}

nb::object to_python(Run& run, Value v) {
    switch (v.tag) {
    case Tag::None: return nb::none();
    case Tag::Bool: return nb::bool_(v.num != 0);
    case Tag::Int: return nb::int_(v.num);
    case Tag::Function: return nb::str(function_text(run, v).c_str());
    default: break;
    }
    Items items(run, v);
    nb::list parts;
    for (size_t k = 0; k < items.size(); ++k) parts.append(to_python(run, items[k]));
    if (v.is_tuple()) return nb::tuple(parts);
    return nb::steal(PyFrozenSet_New(parts.ptr()));
}

nb::object py_parse(nb::bytes text) {
    auto parsed = parse({text.c_str(), text.size()});
    if (auto* failure = std::get_if<ParseFailure>(&parsed)) return nb::cast(*failure);
    return nb::cast(std::get<ProgramRef>(parsed));
}

nb::tuple py_trace(const Program& program, const Grid& input, Budget budget) {
    static thread_local Run run;
    nb::list values;
    Outcome outcome = trace(run, program, input, budget, [&](size_t, Value v) {
        // The conversion builds rows of grids in the run's memory. They must not be charged to the
        // run.
        Budget saved = run.budget;
        int64_t steps_left = run.steps_left;
        uint64_t peak = run.peak();
        run.budget = {UINT64_MAX, UINT64_MAX};
        run.steps_left = INT64_MAX;
        auto mark = run.mark();
        values.append(nb::make_tuple(type_name(v), to_python(run, v)));
        run.release(mark);
        run.budget = saved;
        run.steps_left = steps_left;
        run.cells_peak = peak;
    });
    return nb::make_tuple(values, outcome);
}

nb::list py_types(const Program& program, const Grid& input, Budget budget) {
    static thread_local Run run;
    nb::list names;
    trace(run, program, input, budget, [&](size_t, Value v) { names.append(type_name(v)); });
    return names;
}

nb::list py_lines(const Program& program) {
    nb::list lines;
    for (const Line& line : program.lines) {
        nb::list arguments;
        for (int k = 0; k < line.n; ++k) arguments.append(program.name(line.arguments[k]));
        lines.append(nb::make_tuple(line.target, program.name(line.function), nb::tuple(arguments)));
    }
    return lines;
}

std::string item(const char* list, size_t k) { return std::string(list) + "[" + std::to_string(k) + "]"; }

void expect_one_each(const char* list, size_t found, size_t wanted, const char* of) {
    if (found == wanted) return;
    reject(std::string(list) + ": expected one for each of " + std::to_string(wanted) + " " + of +
           ", found " + std::to_string(found));
}

// nanobind passes None as a null pointer.
template <class Ref> void expect_no_none(const char* list, std::span<const Ref> items, const char* type) {
    for (size_t k = 0; k < items.size(); ++k)
        if (!items[k]) reject(item(list, k) + ": expected a " + type + ", found None");
}

// `n` is the number of tasks or of inputs.
void expect_indices(std::span<const ProgramRef> programs, std::span<const uint32_t> task_index, size_t n) {
    expect_no_none("programs", programs, "Program");
    expect_one_each("task_index", task_index.size(), programs.size(), "programs");
    for (size_t k = 0; k < task_index.size(); ++k)
        if (task_index[k] >= n)
            reject(item("task_index", k) + ": expected an index below " + std::to_string(n) + ", found " +
                   std::to_string(task_index[k]));
}

std::vector<std::vector<Outcome>> py_run_batch(std::vector<ProgramRef> programs,
                                               std::vector<std::vector<GridRef>> inputs, Budget budget,
                                               int threads, bool share) {
    expect_one_each("inputs", inputs.size(), programs.size(), "programs");
    expect_no_none<ProgramRef>("programs", programs, "Program");
    for (size_t k = 0; k < inputs.size(); ++k)
        expect_no_none<GridRef>(item("inputs", k).c_str(), inputs[k], "Grid");
    nb::gil_scoped_release release;
    return run_batch(programs, inputs, budget, threads, share);
}

std::vector<std::vector<Example>>
examples_of(const std::vector<std::vector<std::pair<GridRef, GridRef>>>& tasks) {
    std::vector<std::vector<Example>> examples(tasks.size());
    for (size_t k = 0; k < tasks.size(); ++k) {
        // Counts of solved pairs are bytes.
        if (tasks[k].size() > UINT8_MAX)
            reject(item("tasks", k) + ": expected at most 255 pairs, found " +
                   std::to_string(tasks[k].size()));
        for (auto& [input, output] : tasks[k]) {
            if (!input) reject(item("tasks", k) + ": expected a Grid as the input of a pair, found None");
            examples[k].push_back({input, output});
        }
    }
    return examples;
}

nb::bytes py_count_solved(std::vector<ProgramRef> programs,
                          std::vector<std::vector<std::pair<GridRef, GridRef>>> tasks, Budget budget,
                          bool early_exit, int threads) {
    auto examples = examples_of(tasks);
    expect_no_none<ProgramRef>("programs", programs, "Program");
    for (size_t k = 0; k < examples.size(); ++k)
        for (auto& example : examples[k])
            if (!example.output)
                reject(item("tasks", k) + ": expected a Grid as the output of a pair, found None");
    std::vector<uint8_t> solved;
    {
        nb::gil_scoped_release release;
        solved = count_solved(programs, examples, budget, early_exit, threads);
    }
    return nb::bytes(reinterpret_cast<const char*>(solved.data()), solved.size());
}

nb::bytes py_evaluate(std::vector<ProgramRef> programs, std::vector<uint32_t> task_index,
                      std::vector<std::vector<std::pair<GridRef, GridRef>>> tasks, Budget budget,
                      bool early_exit, int threads, bool share) {
    // The layout that `_VERDICT` in language.py reads.
    static_assert(sizeof(Verdict) == 24 && offsetof(Verdict, ran) == 8 && offsetof(Verdict, changed) == 10 &&
                  offsetof(Verdict, shaped) == 12 && offsetof(Verdict, solved) == 14 &&
                  offsetof(Verdict, cells) == 16);
    auto examples = examples_of(tasks);
    expect_indices(programs, task_index, tasks.size());
    std::vector<Verdict> verdicts;
    {
        nb::gil_scoped_release release;
        verdicts = evaluate(programs, task_index, examples, budget, early_exit, threads, share);
    }
    return nb::bytes(reinterpret_cast<const char*>(verdicts.data()), verdicts.size() * sizeof(Verdict));
}

std::vector<TypedProgramRef> py_infer_types(std::vector<ProgramRef> programs,
                                            std::vector<uint32_t> task_index, std::vector<GridRef> inputs,
                                            Budget budget, int threads) {
    expect_indices(programs, task_index, inputs.size());
    expect_no_none<GridRef>("inputs", inputs, "Grid");
    nb::gil_scoped_release release;
    auto types = infer_types(programs, task_index, inputs, budget, threads);
    std::vector<TypedProgramRef> parents;
    for (size_t k = 0; k < programs.size(); ++k)
        parents.push_back(std::make_shared<TypedProgram>(TypedProgram{programs[k], std::move(types[k])}));
    return parents;
}

std::vector<ProgramRef> py_vary(std::vector<TypedProgramRef> parents,
                                 std::vector<TypedProgramRef> mates, std::vector<double> weights,
                                 size_t max_lines, uint64_t seed) {
    expect_one_each("mates", mates.size(), parents.size(), "parents");
    expect_no_none<TypedProgramRef>("parents", parents, "TypedProgram");
    expect_no_none<TypedProgramRef>("mates", mates, "TypedProgram");
    Weights given{};
    expect_one_each("weights", weights.size(), given.size(), "operators");
    std::copy(weights.begin(), weights.end(), given.begin());
    double sum = 0;
    for (size_t k = 0; k < given.size(); ++k) {
        if (!(given[k] >= 0 && std::isfinite(given[k])))
            reject(std::string("weights: ") + kOperators[k] + ": expected a finite number >= 0, found " +
                   std::to_string(given[k]));
        sum += given[k];
    }
    if (!(sum > 0)) reject("weights: expected at least one above 0, found none");
    nb::gil_scoped_release release;
    return vary(parents, mates, given, max_lines, seed);
}

int primitive_id(const std::string& name) {
    int id = find_primitive(name);
    if (id < 0) reject("expected the name of a primitive, found " + name);
    return id;
}

// Converts Python values to the arguments of a primitive, for tests against the oracle.
struct Converter {
    Run& run;
    Value operator()(nb::handle h) {
        if (h.is_none()) return Value::none();
        if (PyBool_Check(h.ptr())) return Value::boolean(nb::cast<bool>(h));
        if (PyLong_Check(h.ptr())) return checked(nb::cast<int64_t>(h));
        if (PyUnicode_Check(h.ptr())) {
            return primitive_function(primitive_id(nb::cast<std::string>(h)));
        }
        bool tuple = PyTuple_Check(h.ptr());
        if (!tuple && !PyAnySet_Check(h.ptr()))
            throw nb::type_error("expected int, bool, None, str, tuple or frozenset");
        std::vector<Value> items;
        for (nb::handle item : h) items.push_back((*this)(item));
        std::span<const Value> all(items);
        return tuple ? codeit::make_tuple(run, all) : make_set(run, all);
    }
};

nb::tuple py_call_primitive(const std::string& name, nb::tuple arguments, Budget budget) {
    int id = primitive_id(name), arity = primitives()[size_t(id)].arity;
    if (int(arguments.size()) != arity)
        reject(name + ": expected " + std::to_string(arity) + " arguments, found " +
               std::to_string(arguments.size()));
    static thread_local Run run;
    run.start(budget);
    try {
        Converter convert{run};
        Value values[kMaxArguments];
        for (size_t k = 0; k < arguments.size(); ++k) values[k] = convert(arguments[k]);
        Value result = call(run, primitive_function(id), values, int(arguments.size()));
        run.budget = {UINT64_MAX, UINT64_MAX};
        return nb::make_tuple("ok", to_python(run, result));
    } catch (const Fault& fault) {
        return nb::make_tuple(kind_name(fault.kind), nb::none());
    }
}

// Attention on arrays of PyTorch or NumPy, in place. The shapes are those in attention.hpp.
template <typename Item, size_t dimensions>
using Array = nb::ndarray<Item, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;

void expect_shape(bool fits, const char* which) {
    if (!fits) reject(std::string(which) + ": the shape does not fit the others");
}

void bound_attend_to_past(Array<const float, 4> query_key_value, Array<float, 5> cache, Array<int32_t, 2> slots,
                          Array<const float, 2> bias, Array<float, 3> out) {
    const int64_t rows = int64_t(query_key_value.shape(0)), heads = int64_t(query_key_value.shape(2)),
                  size = int64_t(query_key_value.shape(3)), steps = int64_t(cache.shape(0)),
                  capacity = int64_t(cache.shape(1)), step = int64_t(bias.shape(1)) - 1;
    auto is = [](int64_t expected, size_t found) { return int64_t(found) == expected; };
    expect_shape(is(3, query_key_value.shape(1)) && rows <= capacity, "query_key_value");
    expect_shape(is(2, cache.shape(2)) && is(heads, cache.shape(3)) && is(size, cache.shape(4)), "cache");
    expect_shape(is(rows, slots.shape(0)) && is(steps, slots.shape(1)), "slots");
    expect_shape(is(heads, bias.shape(0)) && step >= 0 && step < steps, "bias");
    expect_shape(is(rows, out.shape(0)) && is(heads, out.shape(1)) && is(size, out.shape(2)), "out");
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t k = 0; k < step; ++k)
            if (int32_t slot = slots.data()[row * steps + k]; slot < 0 || slot >= capacity)
                reject("slots: expected 0 to " + std::to_string(capacity - 1) + ", found " +
                       std::to_string(slot));
    nb::gil_scoped_release release;
    attend_to_past({query_key_value.data(), rows, heads, size}, step, steps, capacity, cache.data(),
                   slots.data(), bias.data(), out.data());
}

void bound_attend_to_source(Array<const float, 3> query, Array<const float, 5> keys_values,
                            Array<const int32_t, 1> sources, Array<const int32_t, 1> lengths,
                            Array<float, 3> out) {
    const int64_t rows = int64_t(query.shape(0)), heads = int64_t(query.shape(1)),
                  size = int64_t(query.shape(2)), longest = int64_t(keys_values.shape(1)),
                  n = int64_t(keys_values.shape(0));
    auto is = [](int64_t expected, size_t found) { return int64_t(found) == expected; };
    expect_shape(is(2, keys_values.shape(2)) && is(heads, keys_values.shape(3)) &&
                     is(size, keys_values.shape(4)), "keys_values");
    expect_shape(is(rows, sources.shape(0)), "sources");
    expect_shape(is(n, lengths.shape(0)), "lengths");
    expect_shape(is(rows, out.shape(0)) && is(heads, out.shape(1)) && is(size, out.shape(2)), "out");
    for (int64_t row = 0; row < rows; ++row)
        if (int32_t source = sources.data()[row]; source < 0 || source >= n)
            reject("sources: expected 0 to " + std::to_string(n - 1) + ", found " + std::to_string(source));
    for (int64_t k = 0; k < n; ++k)
        if (int32_t length = lengths.data()[k]; length < 1 || length > longest)
            reject("lengths: expected 1 to " + std::to_string(longest) + ", found " + std::to_string(length));
    nb::gil_scoped_release release;
    attend_to_source(query.data(), rows, heads, size, keys_values.data(), longest, sources.data(),
                     lengths.data(), out.data());
}

nb::list py_infer_static_types(const Program& program) {
    nb::list lines;
    for (const LineTypes& line : infer_static_types(program)) {
        nb::list atoms;
        for (int a = 0; a < kAtoms; ++a)
            if (has(line.kinds, Atom(a))) atoms.append(name(Atom(a)));
        lines.append(nb::make_tuple(nb::frozenset(atoms), line.admitted));
    }
    return lines;
}

using TokenArray = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const int64_t> span_of(const TokenArray& array) { return {array.data(), array.size()}; }

nb::ndarray<nb::numpy, bool, nb::ndim<2>> py_allowed(PartialPrograms& state, int64_t position) {
    if (position < 0) reject("position: expected 0 or more, found " + std::to_string(position));
    size_t rows = state.size(), size = state.grammar().size();
    auto data = std::make_unique<uint8_t[]>(rows * size);
    state.allowed(position, data.get());
    nb::capsule owner(data.get(), [](void* p) noexcept { delete[] static_cast<uint8_t*>(p); });
    return {data.release(), {rows, size}, owner};
}

} // namespace

NB_MODULE(_engine, m) {
    m.doc() =
        "The engine of codeit: parses and runs programs of the ARC language. Use it through codeit.language.";

    nb::class_<Grid>(m, "Grid",
                     "An ARC grid: 1 to 30 rows and columns of colours 0 to 9. Immutable and hashable.")
        .def(nb::new_(&grid_from_rows), "rows"_a,
             "Make a grid from rows of colours. Raises ValueError, which names the row and column at fault.")
        .def_static("from_bytes", &grid_from_bytes, "height"_a, "width"_a, "data"_a,
                    "Make a grid from one byte per cell, row by row.")
        .def_prop_ro(
            "shape", [](const Grid& g) { return nb::make_tuple(g.height(), g.width()); }, "(height, width)")
        .def("tolist", &grid_rows, "Return the rows as lists of integers.")
        .def("__bytes__", &grid_bytes, "Return one byte per cell, row by row.")
        .def("__array__", &grid_array, "dtype"_a = nb::none(), "copy"_a = nb::none(),
             "Return the cells as a new array of shape (height, width), uint8 by default.")
        .def("__getitem__", &grid_item, "key"_a,
             "grid[i] is a row (a tuple), grid[i, j] a colour; other keys index an array of the cells.")
        .def("__len__", &Grid::height, "Return the number of rows.")
        .def(
            "__iter__",
            [](const Grid& g) {
                nb::list rows;
                for (int i = 0; i < g.height(); ++i) rows.append(grid_row(g, i));
                return nb::iter(rows);
            },
            "Iterate over the rows, as tuples.")
        .def("__eq__", &grid_equals, "other"_a.none())
        .def("__hash__", [](const Grid& g) { return nb::hash(nb::make_tuple(g.height(), grid_bytes(g))); })
        .def("__repr__", [](const Grid& g) { return nb::str("Grid({!r})").format(grid_rows(g)); })
        .def("__reduce__",
             [](const Grid& g) { return nb::make_tuple(nb::type<Grid>(), nb::make_tuple(grid_rows(g))); });

    nb::class_<Budget>(
        m, "Budget",
        "Limits of one run: steps (cells touched, calls) and cells of memory in use (16 bytes each).")
        .def(
            "__init__", [](Budget* self, uint64_t steps, uint64_t cells) { new (self) Budget{steps, cells}; },
            "steps"_a = Budget{}.steps, "cells"_a = Budget{}.cells)
        .def_ro("steps", &Budget::steps)
        .def_ro("cells", &Budget::cells);

    nb::class_<Outcome>(m, "Outcome", "How a run ended.")
        .def_prop_ro(
            "kind", [](const Outcome& o) { return kind_name(o.kind); },
            "'grid', or the reason why there is none: 'type', 'value', 'overflow', 'steps', 'cells', "
            "'depth', 'not a grid', 'bad grid'.")
        .def_ro("line", &Outcome::line, "The line at fault, from 1; 0 if there is a grid.")
        .def_prop_ro("message", &Outcome::message,
                     "The line, the primitive, what was expected and what was found; '' if there is a grid.")
        .def_prop_ro(
            "grid", [](const Outcome& o) { return o.grid; }, "The resulting grid, or None.")
        .def_ro("steps", &Outcome::steps, "Steps taken.")
        .def_ro("cells", &Outcome::cells, "Maximum of cells of memory in use.");

    nb::class_<ParseFailure>(m, "ParseFailure")
        .def_ro("line", &ParseFailure::line)
        .def_ro("token", &ParseFailure::token)
        .def_ro("expected", &ParseFailure::expected)
        .def_ro("suggestion", &ParseFailure::suggestion);

    nb::class_<Program>(m, "Program")
        .def("text", &Program::text)
        .def("lines", &py_lines)
        .def("__len__", [](const Program& p) { return p.lines.size(); })
        .def("identity", &identity)
        .def("run", [](const Program& p, const Grid& input, Budget budget) {
            static thread_local Run run;
            nb::gil_scoped_release release;
            return execute(run, p, input, budget);
        })
        .def("trace", &py_trace)
        .def("types", &py_types)
        .def("run_seconds", [](const Program& p, const Grid& input, Budget budget, int repeats) {
            static thread_local Run run;
            return run_seconds(run, p, input, budget, repeats);
        })
        .def("line_seconds", [](const Program& p, const Grid& input, Budget budget, int repeats) {
            static thread_local Run run;
            return line_seconds(run, p, input, budget, repeats);
        });

    m.def("parse", &py_parse, "text"_a);
    m.def("run_batch", &py_run_batch, "programs"_a, "inputs"_a, "budget"_a, "threads"_a, "share"_a = true);
    m.def("count_solved", &py_count_solved, "programs"_a, "tasks"_a, "budget"_a, "early_exit"_a, "threads"_a);
    m.def("evaluate", &py_evaluate, "programs"_a, "task_index"_a, "tasks"_a, "budget"_a, "early_exit"_a,
          "threads"_a, "share"_a = true);
    nb::class_<TypedProgram>(m, "TypedProgram")
        .def_ro("program", &TypedProgram::program)
        .def_prop_ro("types", [](const TypedProgram& p) {
            nb::list names;
            for (Atom atom : p.types) names.append(name(atom));
            return nb::tuple(names);
        });
    m.def("infer_types", &py_infer_types, "programs"_a, "task_index"_a, "inputs"_a, "budget"_a, "threads"_a);
    m.def("vary", &py_vary, "parents"_a, "mates"_a, "weights"_a, "max_lines"_a, "seed"_a);
    m.def("attend_to_past", &bound_attend_to_past, "query_key_value"_a, "cache"_a, "slots"_a, "bias"_a, "out"_a,
          "Append the new tokens' keys and values to `cache`, and write to `out` what their queries attend to: "
          "see engine/attention.hpp. Floats of 32 bits; bias (heads, step + 1) gives the step.");
    m.def("attend_to_source", &bound_attend_to_source, "query"_a, "keys_values"_a, "sources"_a, "lengths"_a,
          "out"_a, "Write to `out` what the queries attend to in their sources: see engine/attention.hpp.");
    m.def("call_primitive", &py_call_primitive, "name"_a, "arguments"_a, "budget"_a = Budget{},
          "Call one primitive with Python values; a function is given by the name of a primitive. Return "
          "('ok', result), or (kind of fault, None). For tests.");

    m.def("infer_static_types", &py_infer_static_types, "program"_a,
          "For each line, return the types that its result may have, and whether the rules of static "
          "types admit it. For tests.");

    nb::class_<Library>(m, "Library", "Slices and statistics of programs: see engine/enumeration.hpp.")
        .def(
            "__init__",
            [](Library* self, std::vector<ProgramRef> programs) {
                expect_no_none<ProgramRef>("programs", programs, "Program");
                new (self) Library(programs);
            },
            "programs"_a)
        .def(
            "__len__", [](const Library& library) { return library.slices().size(); },
            "Return the number of distinct slices.");
    nb::class_<Solution>(m, "Solution", "A program that solves all demonstrations.")
        .def_ro("program", &Solution::program)
        .def_ro("bits", &Solution::bits, "Its cost.")
        .def_ro("tried", &Solution::tried, "Expressions that were tried before it.");
    nb::class_<Enumeration>(m, "Enumeration",
                            "Bottom-up enumeration of programs for a task: see engine/enumeration.hpp.")
        .def(
            "__init__",
            [](Enumeration* self, std::shared_ptr<const Library> library,
               std::vector<std::pair<GridRef, GridRef>> pairs, Budget budget) {
                auto examples = examples_of({pairs});
                new (self) Enumeration(std::move(library), std::move(examples[0]), budget);
            },
            "library"_a, "pairs"_a, "budget"_a)
        .def(
            "run", [](Enumeration& self, uint64_t max_tried) { return self.run(max_tried); }, "most"_a,
            nb::call_guard<nb::gil_scoped_release>(),
            "Try expressions until about `most` were tried in all; return whether more can be tried.")
        .def("finish", &Enumeration::finish, nb::call_guard<nb::gil_scoped_release>(),
             "Look for last steps that lead from the values so far to the outputs.")
        .def_prop_ro("solutions",
                     &Enumeration::solutions,
                     "Solutions with different outputs on the tests, cheapest first.")
        .def("closest", &Enumeration::closest, "most"_a, nb::call_guard<nb::gil_scoped_release>(),
             "Return programs that come closest to the outputs, best first.")
        .def_prop_ro("tried", &Enumeration::tried)
        .def_prop_ro("bits", &Enumeration::bits, "All expressions of lower cost were tried.")
        .def("__len__", &Enumeration::size, "The number of expressions with different values.");

    nb::class_<PartialPrograms>(m, "PartialPrograms",
                                "The state of a Grammar: a batch of unfinished programs, the rows. For one "
                                "thread at a time, together with all states of the same grammar.")
        .def("__len__", &PartialPrograms::size, "Return the number of rows.")
        .def("allowed", &py_allowed, "position"_a,
             "Return the tokens allowed after `position` tokens: a new bool array (rows, size of the "
             "vocabulary). Takes about a microsecond per row.")
        .def(
            "advance", [](PartialPrograms& state, TokenArray tokens) { state.advance(span_of(tokens)); },
            "tokens"_a.noconvert(),
            "Add a token to each row; `tokens` is an int64 array (rows,). An end or a pad token between two "
            "lines leaves its row unchanged. Raises ValueError, and changes no row, if a token breaks a "
            "syntax rule. A token that only a type rule or the limit excludes is taken.")
        .def(
            "select",
            [](const PartialPrograms& state, TokenArray rows) { return state.select(span_of(rows)); },
            "rows"_a.noconvert(),
            "Return a state of the given rows (an int64 array), in this order. A row may occur several "
            "times. Raises IndexError.");
    nb::class_<Grammar>(m, "Grammar",
                        "The next tokens of a program in the compact encoding: see engine/grammar.hpp.")
        .def(nb::init<const std::vector<std::string>&, int64_t, int64_t, int64_t, bool>(), "words"_a, "pad"_a,
             "end"_a, "max_tokens"_a, "typed"_a,
             "Make a grammar of a vocabulary, the words by token. Raises ValueError.")
        .def(
            "start",
            [](std::shared_ptr<Grammar> grammar, size_t rows) {
                return PartialPrograms(std::move(grammar), rows);
            },
            "rows"_a, "Return the state of `rows` empty programs.");

    nb::dict admits;
    for (const Type& type : types()) {
        nb::list atoms;
        for (int a = 0; a < kAtoms; ++a)
            if (has(type.admits, Atom(a))) atoms.append(name(Atom(a)));
        admits[type.name] = nb::tuple(atoms);
    }
    m.attr("TYPES") = admits;
    nb::list operators;
    for (const char* name : kOperators) operators.append(name);
    m.attr("OPERATORS") = nb::tuple(operators);
    nb::list table;
    for (const Primitive& p : primitives()) table.append(nb::make_tuple(p.name, p.signature, p.doc));
    m.attr("PRIMITIVES") = table;
    nb::dict named;
    static Run run;
    run.start({});
    for (const Constant& c : constants()) named[c.name] = to_python(run, c.value);
    m.attr("CONSTANTS") = named;
}
