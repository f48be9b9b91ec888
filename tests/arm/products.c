// Matrix products by ggml's CPU backend, case after case from standard input to standard output.
//
// A case: six int64 (0 or 1: whether the matrix goes into the buffer that repacks; ggml type;
// columns; rows; tokens; bytes of the matrix), the matrix, float32 inputs [tokens][columns].
// An answer: int64 1 and float32 products [tokens][rows], or int64 0: ggml has no such product.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

static void *read_bytes(size_t size) {
    void *data = malloc(size);
    if (data == NULL || fread(data, 1, size, stdin) != size) {
        fprintf(stderr, "the input ends inside a case\n");
        exit(1);
    }
    return data;
}

static ggml_backend_buffer_type_t repacking(ggml_backend_dev_t device) {
    ggml_backend_reg_t backend = ggml_backend_dev_backend_reg(device);
    ggml_backend_dev_get_extra_bufts_t list = (ggml_backend_dev_get_extra_bufts_t)
        ggml_backend_reg_get_proc_address(backend, "ggml_backend_dev_get_extra_bufts");
    for (ggml_backend_buffer_type_t *each = list(device); each && *each; ++each) {
        if (strcmp(ggml_backend_buft_name(*each), "CPU_REPACK") == 0) {
            return *each;
        }
    }
    fprintf(stderr, "this ggml repacks nothing\n");
    exit(1);
}

static struct ggml_context *new_context(void) {
    struct ggml_init_params sizes = {1 << 20, NULL, true};
    return ggml_init(sizes);
}

static void answer(ggml_backend_t cpu, const int64_t *head) {
    const int64_t columns = head[2], rows = head[3], tokens = head[4];
    void *matrix = read_bytes((size_t) head[5]);
    void *inputs = read_bytes((size_t) (tokens * columns) * sizeof(float));
    ggml_backend_dev_t device = ggml_backend_get_device(cpu);
    ggml_backend_buffer_type_t usual = ggml_backend_get_default_buffer_type(cpu);

    struct ggml_context *weights = new_context(), *rest = new_context();
    struct ggml_tensor *w = ggml_new_tensor_2d(weights, (enum ggml_type) head[1], columns, rows);
    if (ggml_nbytes(w) != (size_t) head[5]) {
        fprintf(stderr, "a matrix of %zu bytes, not %lld\n", ggml_nbytes(w), (long long) head[5]);
        exit(1);
    }
    struct ggml_tensor *x = ggml_new_tensor_2d(rest, GGML_TYPE_F32, columns, tokens);
    struct ggml_tensor *y = ggml_mul_mat(rest, w, x);
    struct ggml_cgraph *graph = ggml_new_graph(rest);
    ggml_build_forward_expand(graph, y);

    ggml_backend_buffer_type_t kind = head[0] ? repacking(device) : usual;
    ggml_backend_buffer_t held = ggml_backend_alloc_ctx_tensors_from_buft(weights, kind);
    ggml_backend_buffer_t others = ggml_backend_alloc_ctx_tensors_from_buft(rest, usual);
    const int64_t possible = !(head[0] && w->extra == NULL) && ggml_backend_dev_supports_op(device, y);
    fwrite(&possible, sizeof possible, 1, stdout);
    if (possible) {
        ggml_backend_tensor_set(w, matrix, 0, ggml_nbytes(w));
        ggml_backend_tensor_set(x, inputs, 0, ggml_nbytes(x));
        ggml_backend_graph_compute(cpu, graph);
        fwrite(y->data, 1, ggml_nbytes(y), stdout);
    }
    ggml_backend_buffer_free(held);
    ggml_backend_buffer_free(others);
    ggml_free(weights);
    ggml_free(rest);
    free(matrix);
    free(inputs);
}

int main(void) {
    int64_t head[6];
    ggml_backend_t cpu = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(cpu, 1);
    fprintf(stderr, "dotprod %d i8mm %d sve %d bytes %d\n", ggml_cpu_has_dotprod(),
            ggml_cpu_has_matmul_int8(), ggml_cpu_has_sve(), ggml_cpu_get_sve_cnt());
    while (fread(head, sizeof head, 1, stdin) == 1) {
        answer(cpu, head);
    }
    ggml_backend_free(cpu);
    return 0;
}
