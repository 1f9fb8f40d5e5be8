#include "fault.hpp"

namespace codeit {

const char* kind_name(Kind kind) {
    switch (kind) {
    case Kind::Grid: return "grid";
    case Kind::Type: return "type";
    case Kind::Value: return "value";
    case Kind::Overflow: return "overflow";
    case Kind::Steps: return "steps";
    case Kind::Cells: return "cells";
    case Kind::Depth: return "depth";
    case Kind::NotAGrid: return "not a grid";
    case Kind::BadGrid: return "bad grid";
    }
    return "";
}

void fail(Kind kind, const char* what, const char* found) { throw Fault{kind, what, found}; }

} // namespace codeit
