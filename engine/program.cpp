#include "program.hpp"

#include <algorithm>
#include <unordered_map>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// x1, x2, …: no leading zero, at most four digits.
bool is_variable(std::string_view name) {
    if (name.size() < 2 || name.size() > 5 || name[0] != 'x' || name[1] == '0') return false;
    return std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            size_t swap = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({swap, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

struct Parser {
    std::string_view line;
    size_t at = 0;
    int number = 0;
    std::shared_ptr<Program> program = std::make_shared<Program>();
    std::unordered_map<std::string_view, uint16_t> variables{}; // from a name to the line that defines it

    ParseFailure fail(std::string_view token, std::string expected, std::string suggestion = "") const {
        constexpr size_t kShown = 40;
        std::string shown(token.substr(0, kShown));
        if (token.size() > kShown) shown += "…";
        return {number, shown, std::move(expected), std::move(suggestion)};
    }

    void skip_spaces() {
        while (at < line.size() && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r')) ++at;
    }

    // The next name or character that is not part of a name; empty at the end of the line.
    std::string_view token() {
        skip_spaces();
        size_t begin = at;
        while (at < line.size() && is_name_char(line[at])) ++at;
        if (at == begin && at < line.size()) // one character of UTF-8, of one byte or more
            do ++at;
            while (at < line.size() && (line[at] & 0xc0) == 0x80);
        return line.substr(begin, at - begin);
    }

    static std::string_view or_end(std::string_view token) { return token.empty() ? "end of line" : token; }

    // The known name with the smallest edit distance to an unknown one; "" if none is close.
    std::string nearest(std::string_view name) const {
        if (name.size() > 32) return "";
        size_t best = std::max<size_t>(2, name.size() / 3) + 1;
        std::string found;
        auto consider = [&](std::string_view known) {
            size_t distance = edit_distance(name, known);
            if (distance < best) {
                best = distance;
                found = known;
            }
        };
        for (const Primitive& p : primitives()) consider(p.name);
        for (const Constant& c : constants()) consider(c.name);
        for (const Line& l : program->lines) consider(l.target);
        return found;
    }

    std::variant<Operand, ParseFailure> operand(std::string_view name) const {
        if (name == "I") return Operand{Operand::Kind::Input, 0};
        if (auto found = variables.find(name); found != variables.end())
            return Operand{Operand::Kind::Variable, found->second};
        if (int id = find_primitive(name); id >= 0) return Operand{Operand::Kind::Primitive, uint16_t(id)};
        if (int id = find_constant(name); id >= 0) return Operand{Operand::Kind::Constant, uint16_t(id)};
        if (is_variable(name)) return fail(name, "a variable that an earlier line defines", nearest(name));
        return fail(or_end(name), "a constant, a primitive, a variable or I", nearest(name));
    }

    std::variant<Line, ParseFailure> parse_line() {
        std::string_view target = token();
        if (target != "O" && !is_variable(target)) return fail(or_end(target), "a variable (x1, x2, …) or O");
        if (variables.contains(target)) return fail(target, "a variable that is not yet defined");
        if (auto sign = token(); sign != "=") return fail(or_end(sign), "=");

        std::string_view function = token();
        auto callee = operand(function);
        if (auto* failure = std::get_if<ParseFailure>(&callee)) {
            failure->expected = "a primitive, or a variable that an earlier line defines";
            return *failure;
        }
        Operand head = std::get<Operand>(callee);
        if (head.kind != Operand::Kind::Primitive && head.kind != Operand::Kind::Variable)
            return fail(function, "a primitive, or a variable that an earlier line defines");
        Line parsed{head, 0, {}, std::string(target)};

        if (auto sign = token(); sign != "(") return fail(or_end(sign), "(");
        int arity = head.kind == Operand::Kind::Primitive ? primitives()[head.index].arity : 0;
        auto wanted = [&] {
            return std::string(function) + " to have " +
                   (arity ? std::to_string(arity) + (arity == 1 ? " argument" : " arguments")
                          : "1 to 4 arguments");
        };
        for (;;) {
            std::string_view name = token();
            if (name == ")") return fail(name, parsed.n ? "an argument" : wanted());
            auto argument = operand(name);
            if (auto* failure = std::get_if<ParseFailure>(&argument)) return *failure;
            if (parsed.n == (arity ? arity : kMaxArguments)) return fail(name, wanted());
            parsed.arguments[parsed.n++] = std::get<Operand>(argument);
            std::string_view sign = token();
            if (sign == ")") {
                if (arity && parsed.n != arity) return fail(sign, wanted());
                break;
            }
            if (sign != ",") return fail(or_end(sign), ", or )");
        }
        if (auto rest = token(); !rest.empty()) return fail(rest, "end of line");
        return parsed;
    }
};

// Fills in the steps and the frame: see Program.
void lay_out(Program& program) {
    std::vector<std::vector<uint32_t>> uses(program.lines.size() + 1); // of the input, and of each line
    for (const Line& line : program.lines) {
        auto place = [&](Operand o) {
            Value value; // None for what only a run knows
            switch (o.kind) {
            case Operand::Kind::Input: uses[0].push_back(uint32_t(program.frame.size())); break;
            case Operand::Kind::Variable: uses[1u + o.index].push_back(uint32_t(program.frame.size())); break;
            case Operand::Kind::Primitive: value = primitive_function(o.index); break;
            case Operand::Kind::Constant: value = constants()[o.index].value; break;
            }
            program.frame.push_back(value);
        };
        bool named = line.function.kind == Operand::Kind::Primitive;
        if (!named) place(line.function);
        const FunctionNode* primitive = named ? primitive_function(line.function.index).function : nullptr;
        program.steps.push_back({primitive, uint32_t(program.frame.size()), line.n, 0, 0});
        std::for_each(line.arguments, line.arguments + line.n, place);
    }
    auto last = uint32_t(program.frame.size());
    program.frame.push_back(Value::none());
    program.input_uses = uint32_t(uses[0].size());
    program.uses = std::move(uses[0]);
    for (size_t k = 0; k < program.steps.size(); ++k) {
        std::vector<uint32_t>& places = uses[k + 1];
        if (places.empty()) places.push_back(last);
        program.steps[k].result = places[0];
        program.steps[k].more_uses = uint32_t(places.size() - 1);
        program.uses.insert(program.uses.end(), places.begin() + 1, places.end());
    }
}

} // namespace

std::string Program::name(Operand operand) const {
    switch (operand.kind) {
    case Operand::Kind::Input: return "I";
    case Operand::Kind::Variable: return lines[operand.index].target;
    case Operand::Kind::Primitive: return primitives()[operand.index].name;
    case Operand::Kind::Constant: return constants()[operand.index].name;
    }
    return "";
}

std::string Program::text() const {
    std::string out;
    for (const Line& line : lines) {
        if (!out.empty()) out += '\n';
        out += line.target + " = " + name(line.function) + "(";
        for (int k = 0; k < line.n; ++k) out += (k ? ", " : "") + name(line.arguments[k]);
        out += ")";
    }
    return out;
}

std::variant<std::shared_ptr<const Program>, ParseFailure> parse(std::string_view text) {
    Parser parser;
    if (text.size() > kMaxText)
        return ParseFailure{0, std::to_string(text.size()) + " bytes",
                            "a text of at most " + std::to_string(kMaxText) + " bytes", ""};
    parser.program->lines.reserve(
        std::min(kMaxLines, size_t(std::count(text.begin(), text.end(), '\n')) + 1));
    for (size_t begin = 0; begin <= text.size();) {
        size_t end = std::min(text.find('\n', begin), text.size());
        parser.line = text.substr(begin, end - begin);
        parser.at = 0;
        ++parser.number;
        begin = end + 1;
        parser.skip_spaces();
        if (parser.at == parser.line.size()) continue;
        auto& lines = parser.program->lines;
        if (!lines.empty() && lines.back().target == "O")
            return parser.fail(parser.token(), "no line after the one that defines O");
        if (lines.size() == kMaxLines)
            return parser.fail(parser.token(), "at most " + std::to_string(kMaxLines) + " lines");
        parser.at = 0;
        auto parsed = parser.parse_line();
        if (auto* failure = std::get_if<ParseFailure>(&parsed)) return *failure;
        lines.push_back(std::get<Line>(std::move(parsed)));
        // The views stay valid: the lines were reserved above, so their targets do not move.
        parser.variables.emplace(lines.back().target, uint16_t(lines.size() - 1));
    }
    if (parser.program->lines.empty())
        return ParseFailure{0, "an empty text", "at least one line, O = …", ""};
    if (parser.program->lines.back().target != "O")
        return ParseFailure{parser.number, parser.program->lines.back().target, "a last line that defines O",
                            ""};
    lay_out(*parser.program);
    return std::shared_ptr<const Program>(parser.program);
}

std::shared_ptr<const Program> assemble(std::span<const Line> lines, size_t result, size_t max_lines) {
    auto remap = [](Line& line, const std::vector<uint16_t>& to) {
        each_operand(line, [&](Operand& o) {
            if (o.kind == Operand::Kind::Variable) o.index = to[o.index];
        });
    };
    std::vector<Line> merged(lines.begin(), lines.begin() + long(result) + 1);
    std::vector<uint16_t> first(merged.size()); // for each line, the first one that is equal
    for (size_t k = 0; k < merged.size(); ++k) {
        remap(merged[k], first);
        auto found = std::find_if(merged.begin(), merged.begin() + long(k),
                                  [&](auto& l) { return l.same_call(merged[k]); });
        first[k] = uint16_t(found - merged.begin());
    }
    std::vector<bool> needed(merged.size());
    needed[first[result]] = true;
    for (size_t k = merged.size(); k-- > 0;) {
        if (!needed[k]) continue;
        each_operand(merged[k], [&](Operand o) {
            if (o.kind == Operand::Kind::Variable) needed[o.index] = true;
        });
    }
    auto program = std::make_shared<Program>();
    std::vector<uint16_t> new_index(merged.size());
    for (size_t k = 0; k < merged.size(); ++k) {
        if (!needed[k]) continue;
        Line line = merged[k];
        remap(line, new_index);
        bool primitive = line.function.kind == Operand::Kind::Primitive;
        if (primitive ? primitives()[line.function.index].arity != line.n
                      : line.function.kind != Operand::Kind::Variable)
            return nullptr;
        new_index[k] = uint16_t(program->lines.size());
        line.target = k == first[result] ? "O" : "x" + std::to_string(program->lines.size() + 1);
        program->lines.push_back(std::move(line));
        if (program->lines.size() > std::min(max_lines, kMaxLines)) return nullptr;
    }
    lay_out(*program);
    return program;
}

uint64_t identity(const Program& program) {
    uint64_t hash = 0;
    for (const Line& line : program.lines) {
        hash = mix(hash, line.n);
        each_operand(line, [&](Operand o) { hash = mix(hash, uint64_t(o.kind) << 16 | o.index); });
    }
    return hash;
}

} // namespace codeit
