// Painting as few and as cheap patches on a grid as possible, so that it becomes the output.
#pragma once

#include <vector>

#include "enumeration.hpp"
#include "targets.hpp"

namespace codeit {

class Painter {
  public:
    // `targets` must have a canvas.
    Painter(Enumeration& enumeration, const Targets& targets);

    void add(Argument patch); // adds a patch to those that `paint` may use
    // Tries the cheapest ways to paint patches on the cheapest canvases.
    void paint();

  private:
    // A call that paints a patch.
    struct Paint {
        const char* primitive;      // fill, paint, underfill or underpaint
        std::vector<Argument> rest; // the arguments after the grid
        Mask right, wrong;          // cells that it paints as in the outputs, and other cells
        int bits;                   // without those of the grid
    };
    // A paint without wrong cells. If there is one before it, `paint` covers the wrong cells of that.
    struct Layers {
        const Paint* before;
        const Paint* paint;
        int bits() const { return paint->bits + (before ? before->bits : 0); }
    };

    // `Under` paints only on the ground of the canvas.
    enum class Mode { Over, Under };
    void add(Argument patch, Mode mode);
    void add_spoiled(Argument patch);
    void add_paint(std::vector<Paint>& to, Paint paint);
    void pair_layers();
    void paint(Argument canvas);
    void paint(Argument canvas, const std::vector<Layers>& chosen);

    Enumeration& enumeration_;
    const Targets& targets_;
    std::vector<Paint> paints_, spoiled_; // without and with wrong cells
    std::vector<Layers> layers_;
};

} // namespace codeit
