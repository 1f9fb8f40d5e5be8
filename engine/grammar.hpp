// Constrained decoding in the compact encoding: only programs that parse, and that may run.
//
// A program is written as words, a line as `objects I T F F`. The arity of a primitive is known, so
// there are no brackets, and the number of a line implies its target. A call of a variable with N
// arguments is written `callN x4 …`.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "static_types.hpp"

namespace codeit {

using Mask = std::vector<uint64_t>; // a set of tokens: one bit each

// The rules and the vocabulary. Syntax rules always hold: arity, definition before use, an end after
// at least one complete line, all within `max_tokens` tokens. Every text that follows them parses.
// Type rules (static_types.hpp), if `typed`, exclude calls that can only fail and results that
// cannot be a grid. They are relaxed where they would allow no token.
class Grammar {
  public:
    // `words` are the words by token: names of primitives and constants, I, call1 to call4 and x1,
    // x2, …. Others are never allowed, except that of `end`. `end` and `pad` are tokens. Throws
    // std::invalid_argument.
    Grammar(const std::vector<std::string>& words, int64_t pad, int64_t end, int64_t max_tokens, bool typed);

    size_t size() const { return words_.size(); } // of the vocabulary

  private:
    friend class PartialPrograms;

    struct Word {
        enum class Kind : uint8_t { Other, Call, Primitive, Input, Constant, Variable } kind = Kind::Other;
        int index = 0; // into primitives() or constants(), of the variable (x1: 0), or arguments of a call
        std::string text;
    };

    struct Head {
        int token, arity;
        size_t first_slot;
    };

    bool is_head(int token) const;
    bool is_fixed(int token) const; // the input, a constant or a primitive
    // Tokens of a line, including its head and the end after it.
    int tokens_needed(int head) const;
    TypeId type_of(const StaticTypes& types, const Word& word) const;
    // The types of a new state.
    std::shared_ptr<StaticTypes> types();

    std::vector<Word> words_;
    int64_t pad_, end_, max_tokens_;
    bool typed_;
    int longest_ = 0;                 // the most tokens that a line needs
    std::vector<int> variables_;      // the tokens of x1, x2, …
    std::vector<Head> primitives_;
    std::vector<int> calls_;          // the tokens of call1, call2, …
    Mask fixed_;                      // the input, constants and primitives
    Mask to_grid_;                    // the end, and primitives that return a grid
    std::vector<Mask> heads_within_;  // by tokens left: heads of lines that can be finished, and the end
    std::vector<Mask> fixed_by_slot_; // by slot: the input, constants and primitives that may fill it
    Slots always_filled_;             // slots for which every program has a value
    std::shared_ptr<StaticTypes> types_;
};

// A batch of unfinished programs, the rows. For one thread at a time, together with all others of
// the same grammar, since they share types.
class PartialPrograms {
  public:
    PartialPrograms(std::shared_ptr<Grammar> grammar, size_t rows); // empty programs

    size_t size() const { return rows_.size(); }
    const Grammar& grammar() const { return *grammar_; }
    // Writes the tokens that may follow after `position` >= 0 tokens: a byte of 0 or 1 for each row
    // and token.
    void allowed(int64_t position, uint8_t* out);
    // Adds a token to each row. An end or a pad token between two lines leaves its row unchanged.
    // Throws std::invalid_argument if a token breaks a syntax rule; no row changes then. A token that
    // only a type rule or the limit of tokens excludes is taken.
    void advance(std::span<const int64_t> tokens);
    // The given rows, in this order. A row may occur several times. Throws std::out_of_range.
    PartialPrograms select(std::span<const int64_t> rows) const;

  private:
    // What decides about the tokens that may follow.
    struct Row {
        std::vector<TypeId> variables;
        int head = -1;     // the first token of the current line; -1 between two lines
        uint8_t n = 0;     // tokens after it
        uint8_t calls = 0; // bit n: there is a variable that may be called with n arguments
        TypeId arguments[kMaxArguments + 1]{}; // in a call of a variable, the first is that of the variable
        Slots filled;                          // slots that a variable may fill
    };

    PartialPrograms(const PartialPrograms& other, std::span<const int64_t> rows);
    void head_mask(const Row& row, Mask& mask) const;
    void argument_mask(const Row& row, Mask& mask) const;
    bool may_follow(const Row& row, int64_t token) const;
    void advance(Row& row, int token);

    std::shared_ptr<Grammar> grammar_;
    std::shared_ptr<StaticTypes> types_;
    std::vector<Row> rows_;
};

} // namespace codeit
