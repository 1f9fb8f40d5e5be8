// Programs: from text to lines that can be executed.
//
//   x1 = objects(I, T, F, F)      one call a line: of a primitive, or of an earlier variable that holds a function
//   O = paint(I, x1)              the last line, and only it, defines O
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "memo.hpp"

namespace codeit {

inline constexpr size_t kMaxLines = 1000;
inline constexpr size_t kMaxText = 1 << 18; // bytes

struct Operand {
    enum class Kind : uint8_t { Input, Variable, Primitive, Constant } kind;
    uint16_t index; // the line that defines a variable, or the place in the table
    bool operator==(const Operand&) const = default;
};

struct Line {
    Operand function; // a Primitive or a Variable
    uint8_t n;
    Operand arguments[kMaxArguments];
    std::string target;
    bool calls_as(const Line& other) const {
        return n == other.n && function == other.function && std::equal(arguments, arguments + n, other.arguments);
    }
};

template <class SomeLine, class See> void each_operand(SomeLine& line, See see) {
    see(line.function);
    std::for_each(line.arguments, line.arguments + line.n, see);
}

// A line as it is run: see Program.
struct Step {
    const FunctionNode* primitive; // that is called; nullptr for a variable, whose value lies before the arguments
    uint32_t arguments, n;         // where they lie in the frame, and how many
    uint32_t result, more_uses;    // where the result is used first, and how often then
};

// A run keeps its values in a frame, where the arguments of each line lie side by side. Constants and primitives are
// there from the start; the input, and the result of each line, are written to all places where they are used. The
// result of the last line is the last of the frame; so is, until then, one that is used nowhere.
struct Program {
    std::vector<Line> lines;
    std::vector<Step> steps; // one a line
    std::vector<Value> frame;
    uint32_t input_uses = 0;
    std::vector<uint32_t> uses; // places in the frame: so many of the input, then of each line all but the first
    std::string text() const;
    std::string name(Operand operand) const;
};

struct ParseFailure {
    int line; // from 1; 0 when the text as a whole is at fault
    std::string token, expected, suggestion;
};

std::variant<std::shared_ptr<const Program>, ParseFailure> parse(std::string_view text);

// The program of some lines of which `result` is the last that counts: equal ones merged, those that nothing needs
// dropped, the targets named x1, x2, … and O. A line may refer to those before it only. None if it has over `longest` lines, or a line that calls no function
// or one with the wrong number of arguments.
std::shared_ptr<const Program> assemble(std::span<const Line> lines, size_t result, size_t longest);

// What a program is, whatever its variables are called: equal for programs with equal lines, and, but for a chance
// of one in 2^64, for no others.
uint64_t identity(const Program& program);

} // namespace codeit
