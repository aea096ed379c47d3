// Runs the kernels of kernels.cu on the processor, one thread after the other, for the tests. A program of its own: a job comes on
// standard input, the buffers that it made leave on standard output, all as 32-bit numbers of this machine.
//
// Job: whether to run threads from the last to the first; the given buffers (how many, then for each its length and numbers); the
// made ones (how many, then for each its length); the launches (how many, then for each the length of its name and the name, its
// threads, the buffers it takes and the sizes it takes, both with how many before). What a kernel is given wrongly ends the program:
// another number or order of arguments, a number written outside of its buffer. Made buffers, and the surroundings of all, hold NaN
// at first, so that what is read too early or from outside is seen in the results.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#define __global__
#define __device__

struct Index {
    unsigned x;
};
static Index blockIdx, blockDim, threadIdx;

static unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

#include "kernels.cu"

[[noreturn]] static void fail(const char *what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

static void read(void *to, size_t bytes) {
    if (std::fread(to, 1, bytes, stdin) != bytes) fail("the job is cut short");
}

static uint32_t number() {
    uint32_t number;
    read(&number, sizeof number);
    return number;
}

struct Buffer {
    static const size_t MARGIN = 256;
    std::vector<float> memory;
    size_t length;

    explicit Buffer(size_t length) : memory(length + 2 * MARGIN, NAN), length(length) {}
    float *data() { return memory.data() + MARGIN; }
    bool intact() const {
        bool intact = true;
        for (size_t i = 0; i < MARGIN; ++i) intact = intact && std::isnan(memory[i]) && std::isnan(memory[MARGIN + length + i]);
        return intact;
    }
};

struct Launch {
    std::string kernel;
    uint32_t threads;
    std::vector<float *> buffers;
    std::vector<unsigned> sizes;
    size_t buffers_taken = 0, sizes_taken = 0;
};

template <class Argument> static Argument next(Launch &launch) {
    if constexpr (std::is_pointer_v<Argument>) {
        if (launch.sizes_taken > 0 || launch.buffers_taken == launch.buffers.size()) fail("a kernel takes other buffers");
        return launch.buffers[launch.buffers_taken++];
    } else {
        if (launch.sizes_taken == launch.sizes.size()) fail("a kernel takes other sizes");
        return launch.sizes[launch.sizes_taken++];
    }
}

template <class... Arguments> static void run(void (*kernel)(Arguments...), Launch &launch, bool backwards) {
    std::tuple<Arguments...> arguments{next<Arguments>(launch)...};
    if (launch.buffers_taken != launch.buffers.size() || launch.sizes_taken != launch.sizes.size()) fail("a kernel takes fewer arguments");
    blockDim.x = 64;
    uint32_t all = (launch.threads + blockDim.x - 1) / blockDim.x * blockDim.x;
    for (uint32_t i = 0; i < all; ++i) {
        uint32_t thread = backwards ? all - 1 - i : i;
        blockIdx.x = thread / blockDim.x;
        threadIdx.x = thread % blockDim.x;
        std::apply(kernel, arguments);
    }
}

static void run(Launch &launch, bool backwards) {
#define KERNEL(name) \
    if (launch.kernel == #name) return run(name, launch, backwards);
    KERNEL(scan_forward)
    KERNEL(scan_backward)
    KERNEL(scan_sums)
    KERNEL(conv_forward)
    KERNEL(conv_slopes)
    KERNEL(conv_gradients)
    KERNEL(conv_sums)
    fail("no such kernel");
}

int main() {
    bool backwards = number();
    std::vector<std::unique_ptr<Buffer>> buffers;
    size_t given = number();
    for (size_t i = 0; i < given; ++i) {
        buffers.push_back(std::make_unique<Buffer>(number()));
        read(buffers[i]->data(), buffers[i]->length * sizeof(float));
    }
    for (uint32_t made = number(); made > 0; --made) buffers.push_back(std::make_unique<Buffer>(number()));
    for (uint32_t launches = number(); launches > 0; --launches) {
        Launch launch;
        launch.kernel.resize(number());
        read(launch.kernel.data(), launch.kernel.size());
        launch.threads = number();
        for (uint32_t left = number(); left > 0; --left) launch.buffers.push_back(buffers.at(number())->data());
        for (uint32_t left = number(); left > 0; --left) launch.sizes.push_back(number());
        run(launch, backwards);
    }
    for (size_t i = 0; i < buffers.size(); ++i) {
        if (!buffers[i]->intact()) fail("a kernel wrote outside of a buffer");
        if (i >= given) std::fwrite(buffers[i]->data(), sizeof(float), buffers[i]->length, stdout);
    }
}
