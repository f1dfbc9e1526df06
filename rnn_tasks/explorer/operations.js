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

        return {
            vector,
            tanh: elementwise(Math.tanh, (y) => 1 - y * y),
            sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x)), (y) => y * (1 - y)),
            relu: elementwise((x) => (x > 0 ? x : 0), (y) => (y > 0 ? 1 : 0)),
            identity: elementwise((x) => x, () => 1),

            /** Return x + W a. */
            addmm(x, a, w) {
                const [rows, columns] = w.shape;
                const data = x.data.slice();
                addProduct(data, w.data, a.data, rows, columns);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) x.grad[i] += grad[i];
                    if (!transposed.has(w)) transposed.set(w, transpose(w).data);
                    addProduct(a.grad, transposed.get(w), grad, columns, rows);
                });
            },

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

            /** Return a * b, elementwise. */
            mul(a, b) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] * b.data[i];
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i] * b.data[i];
                        b.grad[i] += grad[i] * a.data[i];
                    }
                });
            },

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
