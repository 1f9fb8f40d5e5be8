// Runs the fuzz target on files without libFuzzer, so that the corpus is a test of every build.
//
//   fuzz_replay DIRECTORY      fails if a check fails, or if a primitive never gives a value
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "primitives/table.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
std::vector<bool>& reached();

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: fuzz_replay DIRECTORY\n");
        return 2;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        std::string data(std::istreambuf_iterator<char>(in), {});
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    }
    const auto primitives = codeit::primitives();
    size_t missing = 0;
    for (size_t k = 0; k < primitives.size(); ++k)
        if (!reached()[k]) {
            std::fprintf(stderr, "FAILED: no input makes %s give a value\n", primitives[k].name);
            ++missing;
        }
    std::printf("replayed %zu inputs; %zu of %zu primitives gave a value\n", files.size(),
                primitives.size() - missing, primitives.size());
    return missing > 0;
}
