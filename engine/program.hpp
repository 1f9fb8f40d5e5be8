// Programs: parsing of their text, and the form in which they are executed.
//
//   x1 = objects(I, T, F, F)      each line calls a primitive, or an earlier variable that holds a function
//   O = paint(I, x1)              the last line, and only this one, defines O
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fault.hpp"
#include "value.hpp"

namespace codeit {

struct Operand {
    enum class Kind : uint8_t { Input, Variable, Primitive, Constant } kind;
    uint16_t index; // the line that defines a variable, or the index into primitives() or constants()
    bool operator==(const Operand&) const = default;
};

struct Line {
    Operand function; // a Primitive or a Variable
    uint8_t n;
    Operand arguments[kMaxArguments];
    std::string target; // the variable that the line defines, or O
    bool same_call(const Line& other) const {
        return n == other.n && function == other.function &&
               std::equal(arguments, arguments + n, other.arguments);
    }
};

// Calls `visit` with the function and then with each argument of a line.
template <class SomeLine, class Visit> void each_operand(SomeLine& line, Visit visit) {
    visit(line.function);
    std::for_each(line.arguments, line.arguments + line.n, visit);
}

// A line in the form in which it is executed: see Program.
struct Step {
    const FunctionNode* primitive; // nullptr if a variable is called; its value precedes the arguments
    uint32_t arguments, n;         // the first argument's index in the frame, and the number of arguments
    uint32_t result, more_uses;    // the index of the first use of the result, and the number of others
};

// A run keeps its values in a frame, in which the arguments of each line are adjacent. Constants
// and primitives are in it from the start; the input and the result of each line are copied to all
// places where they are used. The last place of the frame receives results that no line uses, and
// finally the result of the program.
struct Program {
    std::vector<Line> lines;
    std::vector<Step> steps; // one for each line
    std::vector<Value> frame;
    uint32_t input_uses = 0;
    std::vector<uint32_t> uses; // indices: input_uses of the input, then more_uses of each line
    std::string text() const;
    std::string name(Operand operand) const;
};

struct ParseFailure {
    int line; // from 1; 0 if the error concerns the whole text
    std::string token;      // what was found there
    std::string expected;   // what should be there
    std::string suggestion; // the closest known name, or ""
};

std::variant<std::shared_ptr<const Program>, ParseFailure> parse(std::string_view text);

// Makes a program of lines, of which lines[result] becomes O. Merges equal lines, drops those that the
// result does not need, and names the targets x1, x2, … and O. Lines may refer only to earlier ones.
// Returns nullptr if the program has over `max_lines` lines, or a line that calls a constant or the
// input, or a primitive with the wrong number of arguments.
std::shared_ptr<const Program> assemble(std::span<const Line> lines, size_t result, size_t max_lines);

// A hash of the lines that ignores the names of variables. Programs with different lines have equal
// hashes only by chance, with a probability of about 2^-64.
uint64_t identity(const Program& program);

} // namespace codeit
