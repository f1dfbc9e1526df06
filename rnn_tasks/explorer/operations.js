"use strict";

/**
 * Operations on vectors of several sequences, forward and backward.
 *
 * Numbers of B sequences are stored one sequence after another: number i of sequence b has index b * size + i.
 */
const Operations = (function () {
    // -------------------------------------------------------------------------------------------------- products

    /**
     * Add W x of each sequence to `out`; W has `rows` rows and `columns` columns.
     *
     * Nearly all time is spent here. Four rows and two sequences together are three times as fast as one row and one
     * sequence, because each number that is read is used in several products.
     */
    function addProduct(out, w, x, rows, columns) {
        const count = out.length / rows;
        for (let b = 0; b < count; b += 2) {
            const pair = b + 1 < count;
            let i = 0;
            for (; i + 3 < rows; i += 4) (pair ? addFourRowsOfTwo : addFourRows)(out, w, x, rows, columns, i, b);
            for (; i < rows; i++) {
                addRow(out, w, x, rows, columns, i, b);
                if (pair) addRow(out, w, x, rows, columns, i, b + 1);
            }
        }
    }

    /** Add row i of W x of sequence b. */
    function addRow(out, w, x, rows, columns, i, b) {
        const row = i * columns, start = b * columns;
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += w[row + j] * x[start + j];
        out[b * rows + i] += sum;
    }

    /** Add rows i to i + 3 of W x of sequence b. */
    function addFourRows(out, w, x, rows, columns, i, b) {
        const row0 = i * columns, row1 = row0 + columns, row2 = row1 + columns, row3 = row2 + columns;
        const start = b * columns, target = b * rows + i;
        let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        for (let j = 0; j < columns; j++) {
            const value = x[start + j];
            sum0 += w[row0 + j] * value;
            sum1 += w[row1 + j] * value;
            sum2 += w[row2 + j] * value;
            sum3 += w[row3 + j] * value;
        }
        out[target] += sum0;
        out[target + 1] += sum1;
        out[target + 2] += sum2;
        out[target + 3] += sum3;
    }

    /** Add rows i to i + 3 of W x of the sequences b and b + 1. */
    function addFourRowsOfTwo(out, w, x, rows, columns, i, b) {
        const row0 = i * columns, row1 = row0 + columns, row2 = row1 + columns, row3 = row2 + columns;
        const startA = b * columns, startB = startA + columns, targetA = b * rows + i, targetB = targetA + rows;
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        for (let j = 0; j < columns; j++) {
            const w0 = w[row0 + j], w1 = w[row1 + j], w2 = w[row2 + j], w3 = w[row3 + j];
            const valueA = x[startA + j], valueB = x[startB + j];
            a0 += w0 * valueA;
            a1 += w1 * valueA;
            a2 += w2 * valueA;
            a3 += w3 * valueA;
            b0 += w0 * valueB;
            b1 += w1 * valueB;
            b2 += w2 * valueB;
            b3 += w3 * valueB;
        }
        out[targetA] += a0;
        out[targetA + 1] += a1;
        out[targetA + 2] += a2;
        out[targetA + 3] += a3;
        out[targetB] += b0;
        out[targetB + 1] += b1;
        out[targetB + 2] += b2;
        out[targetB + 3] += b3;
    }

    /** Return the transpose of a matrix {shape, data}. */
    function transpose({shape: [rows, columns], data}) {
        const transposed = new Float64Array(data.length);
        for (let i = 0; i < rows; i++) {
            for (let j = 0; j < columns; j++) transposed[j * rows + i] = data[i * columns + j];
        }
        return {shape: [columns, rows], data: transposed};
    }

    /** Return block i of `count` rows of a matrix or vector {shape, data}, without copying. */
    function rows({shape, data}, i, count) {
        const size = count * (data.length / shape[0]);
        return {shape: [count, ...shape.slice(1)], data: data.subarray(i * size, (i + 1) * size)};
    }

    // ------------------------------------------------------------------------------------------------ operations

    const NORM_EPS = 1e-6; // as in rnn_tasks/cores/delta_net.py

    /** Call f(index of the first number, index of the group) for each group of `size` among `length` numbers. */
    function forEachGroup(size, length, f) {
        for (let group = 0; group < length / size; group++) f(group * size, group);
    }

    /** Call f(i, index of the matrix row i, index of the first number of the vector) for the numbers i of vectors. */
    function forEachRow(size, length, f) {
        for (let i = 0; i < length; i++) f(i, i * size, i - (i % size));
    }

    /** Add `factor` times the `size` numbers of x from `from` on to the numbers of `out` from `start` on. */
    function addMultiple(out, start, factor, x, from, size) {
        for (let j = 0; j < size; j++) out[start + j] += factor * x[from + j];
    }

    /** Return the inner product of the `size` numbers of x from `start` on and those of y from `from` on. */
    function innerProduct(x, start, y, from, size) {
        let sum = 0;
        for (let j = 0; j < size; j++) sum += x[start + j] * y[from + j];
        return sum;
    }

    /**
     * Return operations on vectors {data, grad}. With a tape, an operation appends a function that adds the gradient of
     * its result to the gradients of its arguments. Without a tape, grad is null.
     */
    function operations(tape) {
        const transposed = new Map();

        function vector(data, backward) {
            const result = {data, grad: tape && new Float64Array(data.length)};
            if (tape && backward) tape.push(() => backward(result.grad, data));
            return result;
        }

        /** Return f(a) of each number; `slope` is the derivative as a function of f(a). */
        function elementwise(f, slope) {
            return function (a) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = f(a.data[i]);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) a.grad[i] += grad[i] * slope(data[i]);
                });
            };
        }

        const sigmoid = elementwise((x) => 1 / (1 + Math.exp(-x)), (y) => y * (1 - y));

        /** Return x + W a. */
        function addmm(x, a, w) {
            const [rows, columns] = w.shape;
            const data = x.data.slice();
            addProduct(data, w.data, a.data, rows, columns);
            return vector(data, function (grad) {
                for (let i = 0; i < data.length; i++) x.grad[i] += grad[i];
                if (!transposed.has(w)) transposed.set(w, transpose(w).data);
                addProduct(a.grad, transposed.get(w), grad, columns, rows);
            });
        }

        /** Return a * b, elementwise. */
        function mul(a, b) {
            const data = new Float64Array(a.data.length);
            for (let i = 0; i < data.length; i++) data[i] = a.data[i] * b.data[i];
            return vector(data, function (grad) {
                for (let i = 0; i < data.length; i++) {
                    a.grad[i] += grad[i] * b.data[i];
                    b.grad[i] += grad[i] * a.data[i];
                }
            });
        }

        /** Return x / sqrt(share * sum(x^2) + 1e-6) for each group of `size` numbers. */
        function normalise(a, size, share) {
            const data = new Float64Array(a.data.length), roots = new Float64Array(data.length / size);
            forEachGroup(size, data.length, function (i, group) {
                let sum = 0;
                for (let k = i; k < i + size; k++) sum += a.data[k] ** 2;
                roots[group] = 1 / Math.sqrt(share * sum + NORM_EPS);
                for (let k = i; k < i + size; k++) data[k] = roots[group] * a.data[k];
            });
            return vector(data, (grad) => forEachGroup(size, data.length, function (i, group) {
                let sum = 0;
                for (let k = i; k < i + size; k++) sum += grad[k] * data[k];
                for (let k = i; k < i + size; k++) a.grad[k] += roots[group] * (grad[k] - share * data[k] * sum);
            }));
        }

        return {
            vector,
            tanh: elementwise(Math.tanh, (y) => 1 - y * y),
            sigmoid,
            relu: elementwise((x) => (x > 0 ? x : 0), (y) => (y > 0 ? 1 : 0)),
            identity: elementwise((x) => x, () => 1),
            exp: elementwise(Math.exp, (y) => y),
            softplus: elementwise((x) => (x > 20 ? x : Math.log1p(Math.exp(x))), (y) => 1 - Math.exp(-y)),
            /** Return x + 1/2 for x >= 0, and sigmoid(x) for x < 0. */
            positive: elementwise(
                (x) => (x >= 0 ? x + 0.5 : 1 / (1 + Math.exp(-x))), (y) => (y >= 0.5 ? 1 : y * (1 - y))),
            addmm,

            /** Return W a. */
            matmul(a, w) {
                const [rows, columns] = w.shape;
                return addmm(vector(new Float64Array((a.data.length / columns) * rows)), a, w);
            },

            /** Return a * factor for a number `factor`. */
            times: (a, factor) => elementwise((x) => x * factor, () => factor)(a),

            /** Return a + b. */
            add(a, b) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] + b.data[i];
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i];
                        b.grad[i] += grad[i];
                    }
                });
            },

            mul,

            /** Return a * sigmoid(a), elementwise. */
            silu: (a) => mul(a, sigmoid(a)),

            /** Return (1 - weight) * a + weight * b, elementwise. */
            lerp(a, b, weight) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] + weight.data[i] * (b.data[i] - a.data[i]);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i] * (1 - weight.data[i]);
                        b.grad[i] += grad[i] * weight.data[i];
                        weight.grad[i] += grad[i] * (b.data[i] - a.data[i]);
                    }
                });
            },

            /** Return a * b for complex numbers, pairs of real and imaginary parts; b {data} serves all sequences. */
            mulComplex(a, {data: b}) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i += 2) {
                    const re = b[i % b.length], im = b[(i % b.length) + 1];
                    data[i] = re * a.data[i] - im * a.data[i + 1];
                    data[i + 1] = im * a.data[i] + re * a.data[i + 1];
                }
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i += 2) {
                        const re = b[i % b.length], im = b[(i % b.length) + 1];
                        a.grad[i] += re * grad[i] + im * grad[i + 1];
                        a.grad[i + 1] += re * grad[i + 1] - im * grad[i];
                    }
                });
            },

            /** Return a with each group of its numbers multiplied by a number of `factors`; groups have equal sizes. */
            scale(a, factors) {
                const size = a.data.length / factors.data.length;
                const data = a.data.map((number, i) => number * factors.data[Math.floor(i / size)]);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        const group = Math.floor(i / size);
                        a.grad[i] += grad[i] * factors.data[group];
                        factors.grad[group] += grad[i] * a.data[i];
                    }
                });
            },

            /** Return vectors of `size` numbers with a length of 1: x / sqrt(|x|^2 + 1e-6). */
            unit: (a, size) => normalise(a, size, 1),

            /** Return vectors of `size` numbers divided by their root mean square: x / sqrt(mean(x^2) + 1e-6). */
            rootMeanSquare: (a, size) => normalise(a, size, 1 / size),

            /** Return S^T k for matrices S, size x size, and vectors k, one for each matrix. */
            readMatrix(s, k, size) {
                const data = new Float64Array(k.data.length);
                forEachRow(size, data.length, (i, row, group) => addMultiple(data, group, k.data[i], s.data, row, size));
                return vector(data, (grad) => forEachRow(size, data.length, function (i, row, group) {
                    addMultiple(s.grad, row, k.data[i], grad, group, size);
                    k.grad[i] += innerProduct(s.data, row, grad, group, size);
                }));
            },

            /** Return S + k v^T for matrices S, size x size, and vectors k and v, one of each for each matrix. */
            writeMatrix(s, k, v, size) {
                const data = s.data.slice();
                forEachRow(size, k.data.length, (i, row, group) => addMultiple(data, row, k.data[i], v.data, group, size));
                return vector(data, function (grad) {
                    addMultiple(s.grad, 0, 1, grad, 0, grad.length);
                    forEachRow(size, k.data.length, function (i, row, group) {
                        k.grad[i] += innerProduct(grad, row, v.data, group, size);
                        addMultiple(v.grad, group, k.data[i], grad, row, size);
                    });
                });
            },

            /** Return a without the first `size` numbers of each sequence, followed by the `size` numbers of b. */
            append(a, b, size) {
                const count = b.data.length / size, length = a.data.length / count;
                const data = new Float64Array(a.data.length);
                for (let start = 0, own = 0; start < data.length; start += length, own += size) {
                    data.set(a.data.subarray(start + size, start + length), start);
                    data.set(b.data.subarray(own, own + size), start + length - size);
                }
                return vector(data, function (grad) {
                    for (let start = 0, own = 0; start < data.length; start += length, own += size) {
                        for (let i = size; i < length; i++) a.grad[start + i] += grad[start + i - size];
                        for (let i = 0; i < size; i++) b.grad[own + i] += grad[start + length - size + i];
                    }
                });
            },

            /** Return a with some numbers of each sequence replaced; `values` has NaN where nothing is replaced. */
            hold(a, values) {
                const size = values.length;
                const data = a.data.map((number, i) => (Number.isNaN(values[i % size]) ? number : values[i % size]));
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) if (Number.isNaN(values[i % size])) a.grad[i] += grad[i];
                });
            },
        };
    }

    return {addProduct, transpose, rows, operations};
})();

if (typeof module !== "undefined") module.exports = Operations;
