// Runs samples through the chain: `chain INPUTS SAMPLES REPEATS STRIKES`. INPUTS holds one input word of 32 hexadecimal
// digits per line; the samples are those of the file, again and again. Prints the output words, and behind them the
// edges and the seconds of REPEATS runs without a strike and of as many runs with one strike each as STRIKES says.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "Vmvu_chain.h"
#include "Vmvu_chain___024root.h"
#include "verilated.h"

using Word = std::vector<uint32_t>;

static std::vector<Word> read(const char* file) {
    std::vector<Word> words;
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
        Word word;
        for (int limb = 3; limb >= 0; limb--)
            word.push_back(static_cast<uint32_t>(std::stoul(line.substr(limb * 8, 8), nullptr, 16)));
        words.push_back(word);
    }
    return words;
}

struct Done {
    uint64_t edges = 0;
    std::vector<std::string> words;
};

static Done run(const std::vector<Word>& inputs, size_t words, size_t wanted, int64_t struck, bool keep) {
    auto context = std::make_unique<VerilatedContext>();
    auto chain = std::make_unique<Vmvu_chain>(context.get());
    Done done;
    chain->rst = 1;
    chain->in_valid = 0;
    for (int edge = 0; edge < 2; edge++) {
        chain->clk = 0;
        chain->eval();
        chain->clk = 1;
        chain->eval();
    }
    chain->rst = 0;
    size_t next = 0, seen = 0;
    const uint64_t bound = 100000;
    while (seen < wanted && done.edges < bound * words) {
        chain->clk = 0;
        chain->in_valid = next < words;
        const Word& word = inputs[next % inputs.size()];
        for (int limb = 0; limb < 4; limb++) chain->in_data[limb] = word[limb];
        chain->eval();
        const bool enters = chain->in_valid && chain->in_ready;
        if (chain->out_valid) {
            if (keep) {
                char text[32];
                std::snprintf(text, sizeof text, "%08x%08x%08x", chain->out_data[2], chain->out_data[1],
                              chain->out_data[0]);
                done.words.push_back(text);
            }
            seen++;
        }
        chain->clk = 1;
        chain->eval();
        if (static_cast<int64_t>(done.edges) == struck)
            chain->rootp->mvu_chain__DOT__first__DOT__product[struck % 16][struck % 13] ^= 1 << (struck % 12);
        next += enters;
        done.edges++;
    }
    chain->final();
    return done;
}

int main(int, char** arguments) {
    const auto inputs = read(arguments[1]);
    const size_t samples = std::strtoul(arguments[2], nullptr, 10);
    const size_t repeats = std::strtoul(arguments[3], nullptr, 10);
    const size_t strikes = std::strtoul(arguments[4], nullptr, 10);
    const size_t words = samples * 16, wanted = samples * 4;
    const auto now = [] { return std::chrono::steady_clock::now(); };
    const auto first = run(inputs, words, wanted, -1, true);
    for (const auto& word : first.words) std::printf("%s\n", word.c_str());
    auto start = now();
    uint64_t edges = 0;
    for (size_t repeat = 0; repeat < repeats; repeat++) edges += run(inputs, words, wanted, -1, false).edges;
    const double free = std::chrono::duration<double>(now() - start).count();
    start = now();
    for (size_t strike = 0; strike < strikes; strike++)
        run(inputs, words, wanted, strike * 7919 % first.edges, false);
    const double struck = std::chrono::duration<double>(now() - start).count();
    std::printf("edges %llu of %llu seconds %.6f strikes %.6f\n", static_cast<unsigned long long>(edges),
                static_cast<unsigned long long>(first.edges), free, struck);
    return 0;
}
