"use strict";

/**
 * Charts on canvases. A chart is a function of numbers; it sets the size of the canvas, draws, and returns where things
 * are.
 *
 * All lengths are CSS pixels. Colours come from CSS variables of the document: see `Charts.theme`. Series differ in
 * their dashes too, so that they can be told apart without colours. Canvases have a transparent background.
 */
const Charts = (function () {
    const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3]];

    const MAX_SIDE = 16000; // device pixels; all browsers allow 16,384
    const MAX_AREA = 16e6; // device pixels; Safari on phones allows 16.7 million
    const FONT_SIZE = 12;
    const LINE_HEIGHT = 17;
    const ROW_HEIGHT = 22; // of a horizontal bar
    const HEADER_HEIGHT = LINE_HEIGHT + 5; // a line of text above a plot
    const RIGHT = 12; // room to the right of a plot, the same in all charts so that they align

    // ------------------------------------------------------------------------------------------ colours

    /**
     * Return the colours of the document and its font.
     *
     * A colour is the CSS variable of its name: --ink, --muted, --line, --paper, --series-1 to --series-6, --negative,
     * --zero, --positive, --wrong, --select.
     *
     * @returns {object} {ink, muted, line, paper, series: [6 colours], negative, zero, positive, wrong, select, font,
     *     scale: {negative, zero, positive: [red, green, blue] from 0 to 255}}.
     */
    function theme() {
        const style = getComputedStyle(document.documentElement);
        const context = document.createElement("canvas").getContext("2d");
        const colour = (name) => style.getPropertyValue(`--${name}`).trim();
        const names = ["ink", "muted", "line", "paper", "negative", "zero", "positive", "wrong", "select"];
        const colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
        const scale = ["negative", "zero", "positive"].map((name) => [name, components(colours[name], context)]);
        return {
            ...colours,
            series: [1, 2, 3, 4, 5, 6].map((number) => colour(`series-${number}`)),
            scale: Object.fromEntries(scale),
            font: getComputedStyle(document.body).fontFamily,
        };
    }

    /** Return [red, green, blue] (0 to 255) of a CSS colour; a canvas translates names and other notations. */
    function components(colour, context) {
        context.fillStyle = "#808080";
        context.fillStyle = colour;
        const text = context.fillStyle; // "#rrggbb" or "rgba(r, g, b, a)"
        if (text.startsWith("#")) return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
        return text.match(/[\d.]+/g).slice(0, 3).map(Number);
    }

    /** Return the relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance), from 0 to 1. */
    function luminance(rgb) {
        const [red, green, blue] = rgb.map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    }

    /** Return [red, green, blue] of a value on the colour scale from -limit to limit. */
    function scaleComponents(value, limit, scale) {
        const share = limit > 0 ? Math.max(-1, Math.min(1, value / limit)) : Math.sign(value);
        const end = share < 0 ? scale.negative : scale.positive;
        return scale.zero.map((zero, index) => Math.round(zero + Math.abs(share) * (end[index] - zero)));
    }

    /**
     * Return the colour of a value: blue for -limit, the paper for 0, orange for limit. Larger values have the colour
     * of the limit.
     *
     * @param {number} value NaN has the colour of lines.
     * @param {number} limit The value of the full colour, > 0.
     * @param {object} colours What `theme` returned.
     * @returns {string} A CSS colour.
     */
    function colourScale(value, limit, colours) {
        if (Number.isNaN(value)) return colours.line;
        return `rgb(${scaleComponents(value, limit, colours.scale).join(", ")})`;
    }

    /**
     * Return the colour of a text on the colour that `colourScale` has for a value: black or white, whichever has more
     * contrast. The contrast is at least 4.5.
     *
     * @param {number} value The value.
     * @param {number} limit The value of the full colour, > 0.
     * @param {object} colours What `theme` returned.
     * @returns {string} A CSS colour.
     */
    function inkOn(value, limit, colours) {
        if (Number.isNaN(value)) return colours.ink;
        const background = luminance(scaleComponents(value, limit, colours.scale));
        return (background + 0.05) / 0.05 > 1.05 / (background + 0.05) ? "#000000" : "#ffffff";
    }

    // ------------------------------------------------------------------------------------------ numbers as text

    /** Return an integer as a superscript. */
    function superscript(exponent) {
        return String(exponent).replace(/./g, (digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]));
    }

    /** Return a number in scientific notation, with a number of decimals of the factor. */
    function scientific(value, decimals) {
        const [factor, exponent] = value.toExponential(decimals).split("e");
        return `${factor}×10${superscript(Number(exponent))}`.replace("-", "−");
    }

    /**
     * Return a number with up to three significant digits, such as 0.05, −4.56, 1230 or 1.2×10⁻⁷.
     *
     * @param {?number} value The number.
     * @returns {string} The text; "–" for null and NaN.
     */
    function formatNumber(value) {
        if (value === null || Number.isNaN(value)) return "–";
        if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
        if (value === 0) return "0";
        const size = Math.abs(value);
        const isPlain = size >= 1e-3 && size < 1e5;
        const decimals = Math.max(0, 2 - Math.floor(Math.log10(size)));
        const text = isPlain ? value.toFixed(decimals).replace("-", "−") : scientific(value, 2);
        return text.includes(".") ? text.replace(/\.?0+(?=$|×)/, "") : text;
    }

    /** Return the smallest of 1, 2, 5, 10, 20, 50, ... (also 0.5, 0.2, ...) that is at least `size`. */
    function roundStep(size) {
        const power = 10 ** Math.floor(Math.log10(size));
        const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= size * (1 - 1e-9));
        return factor * power;
    }

    /** Return the ticks of an axis, at most `count` of them: [{value, text}]. */
    function linearTicks([low, high], count) {
        const step = roundStep((high - low) / Math.max(1, count));
        const exponent = (value) => Math.floor(Math.log10(Math.abs(value)) + 1e-9);
        const large = Math.max(Math.abs(low), Math.abs(high)) >= 1e6;
        const ticks = [];
        for (let index = Math.ceil(low / step - 1e-9); index <= Math.floor(high / step + 1e-9); index++) {
            const value = index * step;
            let text = "0";
            if (index && (large || step < 1e-4)) {
                text = scientific(value, Math.max(0, exponent(value) - exponent(step)));
            } else if (index) {
                text = value.toFixed(Math.max(0, -exponent(step))).replace("-", "−");
            }
            ticks.push({value, text});
        }
        return ticks;
    }

    /** Return the ticks of a logarithmic axis between two powers of ten, at most `count` of them: [{value, text}]. */
    function logarithmicTicks([low, high], count) {
        const first = Math.round(Math.log10(low));
        const last = Math.round(Math.log10(high));
        const step = Math.max(1, Math.ceil((last - first) / Math.max(1, count - 1)));
        const ticks = [];
        for (let exponent = Math.ceil(first / step) * step; exponent <= last; exponent += step) {
            const plain = exponent >= -2 && exponent <= 3;
            const text = plain ? (10 ** exponent).toFixed(Math.max(0, -exponent)) : `10${superscript(exponent)}`;
            ticks.push({value: 10 ** exponent, text});
        }
        return ticks;
    }

    // ------------------------------------------------------------------------------------------ drawing

    /** Set the size of a canvas and return its context, scaled to CSS pixels. */
    function prepare(canvas, exactWidth, exactHeight, colours) {
        const [width, height] = [Math.ceil(exactWidth), Math.ceil(exactHeight)];
        const ratio = Math.min(
            globalThis.devicePixelRatio || 1,
            MAX_SIDE / width,
            MAX_SIDE / height,
            Math.sqrt(MAX_AREA / (width * height)),
        );
        canvas.width = Math.max(1, Math.round(width * ratio));
        canvas.height = Math.max(1, Math.round(height * ratio));
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
        const context = canvas.getContext("2d");
        context.scale(canvas.width / width, canvas.height / height);
        setFont(context, colours);
        context.textBaseline = "middle";
        context.lineJoin = "round";
        return context;
    }

    /** Set the font of texts. */
    function setFont(context, colours, weight = "normal", size = FONT_SIZE) {
        context.font = `${weight} ${size}px ${colours.font}`;
    }

    /** Return a function that measures texts in the font of the charts. */
    function measurer(canvas, colours) {
        const context = canvas.getContext("2d");
        setFont(context, colours);
        return (text) => Math.ceil(context.measureText(text).width);
    }

    /** Return the width of the widest text. */
    function widest(texts, measure) {
        return Math.max(0, ...Array.from(new Set(texts), measure));
    }

    /** Draw a text; `align` is left, center or right. */
    function write(context, text, x, y, colour, align = "left") {
        context.fillStyle = colour;
        context.textAlign = align;
        context.fillText(text, x, y);
    }

    /** Draw a text below a tick, moved to the left if it would leave the canvas. */
    function writeBelow(context, text, x, y, colour) {
        const width = parseFloat(context.canvas.style.width);
        write(context, text, Math.min(x, width - context.measureText(text).width / 2), y, colour, "center");
    }

    /** Draw a straight line. Horizontal and vertical lines are moved to whole device pixels, so that they are crisp. */
    function segment(context, x0, y0, x1, y1, colour, width = 1, dash = []) {
        const ratio = context.getTransform().a;
        const shift = Math.round(width * ratio) % 2 ? 0.5 : 0;
        const crisp = (position) => (Math.round(position * ratio - shift) + shift) / ratio;
        const [fromX, toX] = x0 === x1 ? [crisp(x0), crisp(x1)] : [x0, x1];
        const [fromY, toY] = y0 === y1 ? [crisp(y0), crisp(y1)] : [y0, y1];
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.setLineDash(dash);
        context.beginPath();
        context.moveTo(fromX, fromY);
        context.lineTo(toX, toY);
        context.stroke();
    }

    /** Draw a filled circle. */
    function disc(context, x, y, radius, colour) {
        context.fillStyle = colour;
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.fill();
    }

    /** Shorten a text with an ellipsis until it is not wider than `width`. */
    function shorten(text, width, measure) {
        if (measure(text) <= width) return text;
        const characters = Array.from(text);
        while (characters.length > 1 && measure(`${characters.join("")}…`) > width) characters.pop();
        return `${characters.join("")}…`;
    }

    /**
     * Return the positions of labels that are shown: every k-th of `count`, k = 1, 2, 5, 10, ..., so that labels of
     * `size` pixels at a distance of `pitch` pixels do not overlap. The selected position is shown instead of its
     * neighbours.
     */
    function shownLabels(count, pitch, size, selected) {
        const step = Math.max(1, Math.round(roundStep(Math.max(1, size / pitch))));
        const shown = [];
        for (let index = 0; index < count; index += step) {
            if (selected === null || Math.abs(index - selected) * pitch >= size) shown.push(index);
        }
        if (selected !== null && selected >= 0 && selected < count) shown.push(selected);
        return shown;
    }

    /** Place the label of the vertical axis and the entries of a legend in lines of a width; return {items, height}. */
    function header(yLabel, entries, width, measure) {
        const items = [];
        let x = 0;
        let line = 0;
        const place = (item, size) => {
            if (x > 0 && x + size > width) {
                x = 0;
                line += 1;
            }
            items.push({...item, x, y: line * LINE_HEIGHT});
            x += size + 16;
        };
        if (yLabel) place({label: shorten(yLabel, width, measure), title: true}, measure(yLabel));
        for (const entry of entries) {
            const label = shorten(entry.label, width - 32, measure);
            place({...entry, label}, measure(label) + 30);
        }
        return {items, height: items.length ? HEADER_HEIGHT + line * LINE_HEIGHT : 6};
    }

    /** Draw what `header` placed. */
    function drawHeader(context, {items}, left, colours) {
        for (const item of items) {
            const y = item.y + LINE_HEIGHT / 2;
            const x = left + item.x;
            if (item.title) {
                write(context, item.label, x, y, colours.muted);
                continue;
            }
            if (item.mark) segment(context, x + 18, y - 7, x + 18, y + 7, item.colour, 2);
            else segment(context, x, y, x + 24, y, item.colour, 2, item.dash);
            if (item.points) disc(context, x + 12, y, 3, item.colour);
            write(context, item.label, x + 30, y, colours.ink);
        }
    }

    /** Return a column width with which a canvas is not too wide for browsers. */
    function limitedWidth(columnWidth, columns, left) {
        return Math.min(columnWidth, (MAX_SIDE - left - RIGHT) / Math.max(1, columns));
    }

    /** Draw the labels of columns below a plot. */
    function drawColumnLabels(context, labels, {left, columnWidth, y, selected}, colours, measure) {
        const labelWidth = widest(labels, measure);
        const size = labelWidth + Math.min(8, labelWidth / 3); // single characters may be close to each other
        for (const index of shownLabels(labels.length, columnWidth, size, selected)) {
            setFont(context, colours, index === selected ? "bold" : "normal");
            const colour = index === selected ? colours.ink : colours.muted;
            writeBelow(context, labels[index], left + (index + 0.5) * columnWidth, y, colour);
        }
        setFont(context, colours);
    }

    /** Draw the label of the horizontal axis at the bottom of a canvas: in the middle of the plot, if it fits there. */
    function drawXLabel(context, label, left, plotWidth, height, colours) {
        const text = shorten(label, left + plotWidth + RIGHT, (part) => context.measureText(part).width);
        const half = context.measureText(text).width / 2;
        const centre = Math.max(half, Math.min(left + plotWidth / 2, left + plotWidth + RIGHT - half));
        write(context, text, centre, height - LINE_HEIGHT / 2, colours.muted, "center");
    }

    // ------------------------------------------------------------------------------------------ charts

    /**
     * Draw a heat map: blue for negative, orange for positive values, the paper for 0.
     *
     * @param {HTMLCanvasElement} canvas The canvas.
     * @param {object} options
     * @param {Float64Array} options.values (rows * columns), row by row; NaN is drawn in the colour of lines.
     * @param {number} options.rows Number of rows; the first row is at the top.
     * @param {number} options.columns Number of columns.
     * @param {number} options.cellWidth Width of a cell. It is reduced if the canvas would be too wide for browsers.
     * @param {number} options.cellHeight Height of a cell, >= 1.
     * @param {number} options.limit Values of -limit and limit have the full colours.
     * @param {?number} [options.selectedRow] The row to mark.
     * @param {?number} [options.selectedColumn] The column to mark.
     * @param {?string[]} [options.rowLabels] A text for each row; texts that would overlap are omitted.
     * @param {?string[]} [options.columnLabels] A text for each column; texts that would overlap are omitted.
     * @param {number[][]} [options.crossed] Cells to cross out: [[row, column], ...].
     * @param {string} [options.xLabel] Label of the horizontal axis.
     * @param {string} [options.yLabel] Label of the vertical axis, above the map.
     * @param {?number} [options.left] Pixels to the left of the map, to align charts; by default what the labels need.
     * @returns {object} {left, top, cellWidth, cellHeight, rows, columns}, for `cellAt`.
     */
    function heatMap(canvas, options) {
        const {values, rows, columns, cellHeight, limit, selectedRow = null, selectedColumn = null} = options;
        const {rowLabels = null, columnLabels = null, crossed = [], xLabel = "", yLabel = ""} = options;
        const colours = theme();
        const measure = measurer(canvas, colours);
        const left = options.left ?? (rowLabels ? widest(rowLabels, measure) + 14 : 4);
        const cellWidth = limitedWidth(options.cellWidth, columns, left);
        const mapWidth = columns * cellWidth;
        const mapHeight = rows * cellHeight;
        const width = left + Math.max(mapWidth, measure(xLabel), measure(yLabel)) + RIGHT;
        const top = yLabel ? HEADER_HEIGHT : 6;
        const bottom = top + mapHeight;
        const height = bottom + 6 + (columnLabels ? LINE_HEIGHT : 0) + (xLabel ? LINE_HEIGHT : 0);
        const context = prepare(canvas, width, height, colours);

        if (rows && columns) {
            context.imageSmoothingEnabled = false;
            context.drawImage(cellImage(values, rows, columns, limit, colours), left, top, mapWidth, mapHeight);
        }
        if (cellWidth >= 8 && cellHeight >= 8) {
            for (let row = 1; row < rows; row++) {
                const y = top + row * cellHeight;
                segment(context, left, y, left + mapWidth, y, colours.paper);
            }
            for (let column = 1; column < columns; column++) {
                const x = left + column * cellWidth;
                segment(context, x, top, x, bottom, colours.paper);
            }
        }
        frame(context, left, top, mapWidth, mapHeight, colours.line, 1);
        for (const [row, column] of crossed) {
            const x = left + (column + 0.5) * cellWidth;
            const y = top + (row + 0.5) * cellHeight;
            cross(context, x, y, Math.max(4, Math.min(cellWidth, cellHeight) / 2 - 2), colours);
        }
        if (selectedRow !== null) {
            mark(context, left, top + selectedRow * cellHeight, mapWidth, cellHeight, colours);
        }
        if (selectedColumn !== null) {
            mark(context, left + selectedColumn * cellWidth, top, cellWidth, mapHeight, colours);
        }

        if (rowLabels) {
            for (const row of shownLabels(rows, cellHeight, FONT_SIZE + 2, selectedRow)) {
                setFont(context, colours, row === selectedRow ? "bold" : "normal");
                const colour = row === selectedRow ? colours.ink : colours.muted;
                write(context, rowLabels[row], left - 7, top + (row + 0.5) * cellHeight, colour, "right");
            }
            setFont(context, colours);
        }
        let y = bottom + 6;
        if (columnLabels) {
            const place = {left, columnWidth: cellWidth, y: y + LINE_HEIGHT / 2, selected: selectedColumn};
            drawColumnLabels(context, columnLabels, place, colours, measure);
            y += LINE_HEIGHT;
        }
        if (xLabel) write(context, xLabel, left, y + LINE_HEIGHT / 2, colours.muted);
        if (yLabel) write(context, yLabel, left, LINE_HEIGHT / 2, colours.muted);
        return {left, top, cellWidth, cellHeight, rows, columns};
    }

    /** Return a canvas with one pixel for each cell. */
    function cellImage(values, rows, columns, limit, colours) {
        const image = document.createElement("canvas");
        image.width = columns;
        image.height = rows;
        const context = image.getContext("2d");
        const pixels = context.createImageData(columns, rows);
        const half = 255;
        const bytes = new Uint8ClampedArray(4 * (2 * half + 1));
        for (let index = 0; index <= 2 * half; index++) {
            bytes.set([...scaleComponents(index - half, half, colours.scale), 255], 4 * index);
        }
        const palette = new Uint32Array(bytes.buffer);
        const missing = new Uint32Array(new Uint8Array([...components(colours.line, context), 255]).buffer)[0];
        const target = new Uint32Array(pixels.data.buffer);
        const factor = limit > 0 ? half / limit : half;
        for (let index = 0; index < target.length; index++) {
            const position = Math.round(Math.max(-half, Math.min(half, values[index] * factor)));
            target[index] = Number.isNaN(position) ? missing : palette[position + half];
        }
        context.putImageData(pixels, 0, 0);
        return image;
    }

    /** Draw a line around a rectangle. */
    function frame(context, x, y, width, height, colour, lineWidth) {
        context.strokeStyle = colour;
        context.lineWidth = lineWidth;
        context.setLineDash([]);
        context.strokeRect(x - lineWidth / 2, y - lineWidth / 2, width + lineWidth, height + lineWidth);
    }

    /** Mark a rectangle: a line around it, with a border in the colour of the paper. */
    function mark(context, x, y, width, height, colours) {
        frame(context, x, y, width, height, colours.paper, 3.5);
        frame(context, x, y, width, height, colours.select, 2);
    }

    /** Draw a cross, with a border in the colour of the paper. */
    function cross(context, x, y, radius, colours) {
        for (const [colour, width] of [[colours.paper, 4], [colours.wrong, 2]]) {
            segment(context, x - radius, y - radius, x + radius, y + radius, colour, width);
            segment(context, x - radius, y + radius, x + radius, y - radius, colour, width);
        }
    }

    /**
     * Return the cell at a position, for a heat map; the column of a line chart (row 0); or the row of a bar chart
     * (column 0).
     *
     * @param {object} geometry What the chart returned.
     * @param {number} x Pixels from the left edge of the canvas (offsetX of an event).
     * @param {number} y Pixels from the top edge of the canvas.
     * @returns {?{row: number, column: number}} null outside the cells.
     */
    function cellAt(geometry, x, y) {
        const row = Math.floor((y - geometry.top) / geometry.cellHeight);
        const column = Math.floor((x - geometry.left) / geometry.cellWidth);
        return row >= 0 && row < geometry.rows && column >= 0 && column < geometry.columns ? {row, column} : null;
    }

    /**
     * Draw lines over columns (time steps, lags, moments).
     *
     * On a logarithmic axis, values of 0 are not joined to the others; they are shown below the axis at a tick "0".
     *
     * @param {HTMLCanvasElement} canvas The canvas.
     * @param {object} options
     * @param {number} options.width Width of the canvas; it is wider if `columnWidth` needs it.
     * @param {number} options.height Height of the canvas; it is higher if the legend needs more than one line.
     * @param {object[]} options.series [{label, values: one number for each column (NaN: gap), points: true to draw the
     *     values as dots}]. Each series has another dash and colour.
     * @param {object[]} [options.horizontal] Reference lines: [{label: optional, value, dash: lengths as in
     *     setLineDash}]. Lines without a label are not in the legend.
     * @param {?number} [options.selected] The column to mark.
     * @param {boolean} [options.log] Draw a logarithmic vertical axis.
     * @param {string} [options.xLabel] Label of the horizontal axis.
     * @param {string} [options.yLabel] Label of the vertical axis, with its unit.
     * @param {?number} [options.columnWidth] Width of a column; by default the columns fill the width.
     * @param {?number} [options.left] Pixels to the left of the plot, to align charts; by default what the labels need.
     * @returns {object} {left, top, columnWidth, cellWidth: the same, cellHeight, rows: 1, columns}, for `cellAt`.
     */
    function lines(canvas, options) {
        const {series, horizontal = [], selected = null, log = false, xLabel = "", yLabel = ""} = options;
        const colours = theme();
        const measure = measurer(canvas, colours);
        const columns = series.reduce((count, {values}) => Math.max(count, values.length), 0);
        const styles = series.map((one, index) => ({
            label: one.label ?? "",
            colour: colours.series[index % colours.series.length],
            dash: DASHES[index % DASHES.length],
            points: Boolean(one.points),
        }));
        const levels = horizontal.map((one) => ({...one, dash: one.dash ?? [5, 4], colour: colours.muted}));
        const entries = [...styles, ...levels].filter(({label}) => label);
        const bottomHeight = 4 + LINE_HEIGHT + (xLabel ? LINE_HEIGHT : 0);

        const all = [...series.flatMap(({values}) => Array.from(values)), ...levels.map(({value}) => value)];
        const zeros = log && all.some((value) => value === 0);
        const range = log ? logarithmicRange(all) : linearRange(all);
        if (!log && extent(all)[0] >= 0) range[0] = Math.max(0, range[0]);
        const ticksOf = (size) => {
            const count = Math.floor(size / 30) + 1;
            const ticks = log ? logarithmicTicks(range, count) : linearTicks(range, count);
            return zeros ? [...ticks, {value: 0, text: "0"}] : ticks;
        };
        const left = options.left ?? widest(ticksOf(options.height).map(({text}) => text), measure) + 12;
        const head = header(yLabel, entries, options.width - RIGHT - left, measure);
        const top = head.height;
        const height = options.height + Math.max(0, top - HEADER_HEIGHT);
        const plotHeight = Math.max(10, height - top - bottomHeight);
        const axisHeight = plotHeight - (zeros ? 22 : 0);
        const columnWidth = limitedWidth(
            options.columnWidth ?? Math.max(1, options.width - left - RIGHT) / Math.max(1, columns),
            columns,
            left,
        );
        const plotWidth = columns * columnWidth;
        const context = prepare(canvas, Math.max(options.width, left + plotWidth + RIGHT), height, colours);
        drawHeader(context, head, left, colours);

        const shown = log ? range.map(Math.log10) : range;
        const toX = (column) => left + (column + 0.5) * columnWidth;
        const toY = (value) => {
            if (log && value === 0) return top + plotHeight - 5;
            return top + axisHeight * (1 - ((log ? Math.log10(value) : value) - shown[0]) / (shown[1] - shown[0]));
        };
        for (const {value, text} of ticksOf(axisHeight)) {
            const y = toY(value);
            segment(context, left, y, left + plotWidth, y, colours.line);
            write(context, text, left - 6, y, colours.muted, "right");
        }
        if (selected !== null) {
            context.globalAlpha = 0.16;
            context.fillStyle = colours.select;
            context.fillRect(left + selected * columnWidth, top, columnWidth, plotHeight);
            context.globalAlpha = 1;
            segment(context, toX(selected), top, toX(selected), top + plotHeight, colours.select);
        }
        context.save();
        context.beginPath();
        context.rect(left - 4, top - 3, plotWidth + 8, plotHeight + 6);
        context.clip();
        for (const {value, colour, dash} of levels) {
            const y = toY(value);
            if (Number.isFinite(y)) segment(context, left, y, left + plotWidth, y, colour, 1.5, dash);
        }
        series.forEach(({values}, index) => drawLine(context, values, {toX, toY, log, columnWidth, ...styles[index]}));
        context.restore();

        const labels = Array.from({length: columns}, (_, column) => String(column));
        const place = {left, columnWidth, y: top + plotHeight + 4 + LINE_HEIGHT / 2, selected};
        drawColumnLabels(context, labels, place, colours, measure);
        if (xLabel) {
            drawXLabel(context, xLabel, left, Math.min(plotWidth, options.width - left - RIGHT), height, colours);
        }
        return {left, top, columnWidth, cellWidth: columnWidth, cellHeight: plotHeight, rows: 1, columns};
    }

    /** Return the lowest and the highest finite number; [0, 1] if there is none. */
    function extent(values) {
        const finite = values.filter(Number.isFinite);
        if (!finite.length) return [0, 1];
        return [Math.min, Math.max].map((choose) => finite.reduce((one, other) => choose(one, other)));
    }

    /** Return the ends of a linear axis: a range, or that of the values with some room. */
    function linearRange(values) {
        const [low, high] = extent(values);
        const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
        if (!(high - low > 1e-9 * size)) return [low - 0.1 * size, high + 0.1 * size];
        return [low - 0.04 * (high - low), high + 0.04 * (high - low)];
    }

    /** Return the ends of a logarithmic axis: powers of ten. */
    function logarithmicRange(values) {
        const positive = values.filter((value) => value > 0 && Number.isFinite(value));
        if (!positive.length) return [0.1, 1];
        const [low, high] = extent(positive).map(Math.log10);
        // Numbers beyond 1e-300 and 1e300 are outside the axis, since the ends must be finite and above 0.
        const first = Math.max(-300, Math.min(299, Math.floor(low + 1e-9)));
        return [10 ** first, 10 ** Math.max(first + 1, Math.min(300, Math.ceil(high - 1e-9)))];
    }

    /** Draw one series: a line with gaps where it has no value. */
    function drawLine(context, values, {toX, toY, log, columnWidth, colour, dash, points}) {
        const joined = (column) => Number.isFinite(values[column]) && (!log || values[column] > 0);
        context.strokeStyle = colour;
        context.lineWidth = 2;
        context.setLineDash(dash);
        context.beginPath();
        for (let column = 0; column < values.length; column++) {
            if (!joined(column)) continue;
            if (column && joined(column - 1)) context.lineTo(toX(column), toY(values[column]));
            else context.moveTo(toX(column), toY(values[column]));
        }
        context.stroke();
        const radius = Math.max(1.5, Math.min(3, columnWidth / 3));
        for (let column = 0; column < values.length; column++) {
            const zero = log && values[column] === 0;
            const single = joined(column) && !joined(column - 1) && !joined(column + 1);
            if (zero || single || (points && joined(column))) {
                disc(context, toX(column), toY(values[column]), radius, colour);
            }
        }
    }

    /**
     * Draw horizontal bars: a label to the left, the bar, and a text to the right.
     *
     * @param {HTMLCanvasElement} canvas The canvas.
     * @param {object} options
     * @param {number} options.width Width of the canvas.
     * @param {object[]} options.items [{label, value, mark: a second value, drawn as a line across the bar (null:
     *     none), text: to the right of the bar, by default the value}].
     * @param {number} [options.limit] The value of the longest bar; by default the largest value.
     * @param {boolean} [options.signed] Bars start in the middle and end at -limit to limit, in the colours of heat
     *     maps.
     * @param {string} [options.markLabel] What the marks show; drawn above the bars.
     */
    function bars(canvas, options) {
        const {width, items, signed = false, markLabel = ""} = options;
        const colours = theme();
        const measure = measurer(canvas, colours);
        const texts = items.map(({text, value}) => text ?? formatNumber(value));
        const labels = items.map(({label}) => shorten(label, 0.35 * width, measure));
        const left = widest(labels, measure) + 12;
        const right = widest(texts, measure) + 12;
        const sizes = items.flatMap(({value, mark: second}) => [value, second ?? 0]).map(Math.abs);
        const limit = options.limit ?? (extent([0, ...sizes])[1] || 1);
        const entries = markLabel ? [{label: markLabel, colour: colours.ink, mark: true}] : [];
        const head = header("", entries, width - 4, measure);
        const top = head.height;
        const context = prepare(canvas, width, top + items.length * ROW_HEIGHT + 4, colours);
        drawHeader(context, head, 0, colours);

        const plotWidth = Math.max(10, width - left - right);
        const toX = (value) => {
            const share = Math.max(signed ? -1 : 0, Math.min(1, value / limit));
            return left + plotWidth * (signed ? (1 + share) / 2 : share);
        };
        const zero = toX(0);
        items.forEach((item, row) => {
            const y = top + row * ROW_HEIGHT;
            const middle = y + ROW_HEIGHT / 2;
            write(context, labels[row], left - 7, middle, colours.ink, "right");
            write(context, texts[row], width, middle, colours.ink, "right");
            if (Number.isFinite(item.value)) {
                const end = toX(item.value);
                const sign = item.value < 0 ? colours.negative : colours.positive;
                context.fillStyle = signed ? sign : colours.series[0];
                context.fillRect(Math.min(zero, end), y + 3, Math.max(1, Math.abs(end - zero)), ROW_HEIGHT - 6);
            }
            if (Number.isFinite(item.mark)) {
                segment(context, toX(item.mark), y + 1, toX(item.mark), y + ROW_HEIGHT - 1, colours.paper, 5);
                segment(context, toX(item.mark), y + 1, toX(item.mark), y + ROW_HEIGHT - 1, colours.ink, 2);
            }
        });
        segment(context, zero, top, zero, top + items.length * ROW_HEIGHT, colours.muted);
    }

    /**
     * Draw points in a plane.
     *
     * @param {HTMLCanvasElement} canvas The canvas.
     * @param {object} options
     * @param {number} options.width Width of the canvas.
     * @param {number} options.height Height of the canvas.
     * @param {number[][]} options.points [[x, y], ...].
     * @param {number[][]} [options.faint] Points in the background, [[x, y], ...].
     * @param {boolean} [options.path] Join the points in their order; earlier ones are paler.
     * @param {?number} [options.selected] The point to mark.
     * @param {string[]} [options.labels] A text for each point, "" for none; texts that would overlap are omitted.
     * @param {?number} [options.circle] The radius of a circle around (0, 0).
     * @param {string} [options.xLabel] Label of the horizontal axis.
     * @param {string} [options.yLabel] Label of the vertical axis.
     * @param {boolean} [options.equal] Both axes have the same scale.
     * @returns {object} {points: [[x, y], ...] in pixels}.
     */
    function scatter(canvas, options) {
        const {width, height, points, faint = [], path = false, selected = null, labels = [], circle = null} = options;
        const {xLabel = "", yLabel = "", equal = false} = options;
        const colours = theme();
        const measure = measurer(canvas, colours);
        const ends = circle === null ? [] : [[-circle, -circle], [circle, circle]];
        const all = [...points, ...faint, ...ends];
        let ranges = [0, 1].map((axis) => linearRange(all.map((point) => point[axis])));
        const head = header(yLabel, [], width - 8, measure);
        const top = head.height + 3;
        const plotHeight = Math.max(10, height - top - 4 - LINE_HEIGHT - (xLabel ? LINE_HEIGHT : 0));
        const left = widest(linearTicks(ranges[1], plotHeight / 40).map(({text}) => text), measure) + 18;
        const plotWidth = Math.max(10, width - left - RIGHT);
        if (equal) ranges = equalised(ranges, [plotWidth, plotHeight]);
        const context = prepare(canvas, width, height, colours);
        drawHeader(context, head, left, colours);

        const toX = (value) => left + (plotWidth * (value - ranges[0][0])) / (ranges[0][1] - ranges[0][0]);
        const toY = (value) => top + plotHeight * (1 - (value - ranges[1][0]) / (ranges[1][1] - ranges[1][0]));
        for (const {value, text} of linearTicks(ranges[0], plotWidth / 70)) {
            const x = toX(value);
            segment(context, x, top, x, top + plotHeight, value === 0 ? colours.muted : colours.line);
            writeBelow(context, text, x, top + plotHeight + 4 + LINE_HEIGHT / 2, colours.muted);
        }
        for (const {value, text} of linearTicks(ranges[1], plotHeight / 40)) {
            const y = toY(value);
            segment(context, left, y, left + plotWidth, y, value === 0 ? colours.muted : colours.line);
            write(context, text, left - 6, y, colours.muted, "right");
        }
        if (xLabel) drawXLabel(context, xLabel, left, plotWidth, height, colours);

        const pixels = points.map(([x, y]) => [toX(x), toY(y)]);
        context.save();
        context.beginPath();
        context.rect(left - 1, top - 1, plotWidth + 2, plotHeight + 2);
        context.clip();
        if (circle !== null) {
            context.strokeStyle = colours.muted;
            context.lineWidth = 1.5;
            context.setLineDash([5, 4]);
            context.beginPath();
            context.ellipse(toX(0), toY(0), toX(circle) - toX(0), toY(0) - toY(circle), 0, 0, 2 * Math.PI);
            context.stroke();
        }
        context.globalAlpha = 0.35;
        for (const [x, y] of faint) disc(context, toX(x), toY(y), 2, colours.muted);
        const main = colours.series[0];
        const opacity = (index) => (path ? 0.25 + (0.75 * (index + 1)) / pixels.length : 0.85);
        if (path) {
            for (let index = 1; index < pixels.length; index++) {
                context.globalAlpha = opacity(index);
                segment(context, ...pixels[index - 1], ...pixels[index], main, 1.5);
            }
        }
        pixels.forEach(([x, y], index) => {
            context.globalAlpha = opacity(index);
            disc(context, x, y, 3, main);
        });
        context.globalAlpha = 1;
        context.restore();
        if (selected !== null && pixels[selected]) {
            const [x, y] = pixels[selected];
            disc(context, x, y, 8, colours.paper);
            disc(context, x, y, 6.5, colours.select);
            disc(context, x, y, 4, main);
        }
        drawPointLabels(context, {pixels, labels, selected, left, top, plotWidth, plotHeight}, colours, measure);
        return {points: pixels};
    }

    /** Return the ends of two axes, one of them extended, so that both have the same scale. */
    function equalised(ranges, sizes) {
        const scale = Math.max(...ranges.map(([low, high], axis) => (high - low) / sizes[axis]));
        return ranges.map(([low, high], axis) => {
            const room = (scale * sizes[axis] - (high - low)) / 2;
            return [low - room, high + room];
        });
    }

    /** Return whether two boxes overlap. */
    function overlap(one, other) {
        return one.x0 < other.x1 && other.x0 < one.x1 && one.y0 < other.y1 && other.y0 < one.y1;
    }

    /** Return whether a box is within another. */
    function within(box, area) {
        return box.x0 >= area.x0 && box.x1 <= area.x1 && box.y0 >= area.y0 && box.y1 <= area.y1;
    }

    /** Draw the labels of points, beginning with the selected one; a label that would overlap another is omitted. */
    function drawPointLabels(context, {pixels, labels, selected, left, top, plotWidth, plotHeight}, colours, measure) {
        const boxes = [];
        const area = {x0: left, x1: left + plotWidth, y0: top, y1: top + plotHeight};
        const order = labels.map((_, index) => index).filter((index) => labels[index] && pixels[index]);
        order.sort((one, other) => Number(other === selected) - Number(one === selected) || one - other);
        for (const index of order) {
            const [x, y] = pixels[index];
            const width = measure(labels[index]);
            const distance = index === selected ? 10 : 5;
            const places = [[distance, -9], [-distance - width, -9], [distance, 9], [-distance - width, 9]];
            for (const [dx, dy] of places) {
                const box = {x0: x + dx - 1, x1: x + dx + width + 1, y0: y + dy - 7, y1: y + dy + 7};
                if (!within(box, area) || boxes.some((other) => overlap(box, other))) continue;
                boxes.push(box);
                setFont(context, colours, index === selected ? "bold" : "normal");
                context.strokeStyle = colours.paper;
                context.lineWidth = 3;
                context.setLineDash([]);
                context.textAlign = "left";
                context.strokeText(labels[index], x + dx, y + dy);
                write(context, labels[index], x + dx, y + dy, colours.ink);
                break;
            }
        }
        setFont(context, colours);
    }

    /**
     * Stack a title and canvases into one canvas, with the paper as background, for saving.
     *
     * @param {string} title The title.
     * @param {HTMLCanvasElement[]} canvases Canvases with charts, from top to bottom; empty ones are skipped.
     * @param {string} [subtitle] A text below the title.
     * @returns {HTMLCanvasElement} The new canvas.
     */
    function png(title, canvases, subtitle = "") {
        const colours = theme();
        const result = document.createElement("canvas");
        const measure = measurer(result, colours);
        const parts = canvases.filter(({style}) => style.width);
        const sizes = parts.map(({style}) => [parseFloat(style.width), parseFloat(style.height)]);
        const inner = sizes.reduce((most, [width]) => Math.max(most, width), 320);
        setFont(result.getContext("2d"), colours, "bold", 17);
        const titleLines = wrap(title, inner, measure);
        setFont(result.getContext("2d"), colours);
        const subtitleLines = wrap(subtitle, inner, measure);
        const padding = 16;
        const textHeight = titleLines.length * 23 + subtitleLines.length * LINE_HEIGHT + 10;
        const height = sizes.reduce((sum, [, part]) => sum + part + 10, 2 * padding + textHeight);
        const context = prepare(result, inner + 2 * padding, height, colours);
        context.fillStyle = colours.paper;
        context.fillRect(0, 0, inner + 2 * padding, height);
        let y = padding;
        setFont(context, colours, "bold", 17);
        for (const line of titleLines) {
            write(context, line, padding, y + 11, colours.ink);
            y += 23;
        }
        setFont(context, colours);
        for (const line of subtitleLines) {
            write(context, line, padding, y + LINE_HEIGHT / 2, colours.muted);
            y += LINE_HEIGHT;
        }
        y += 10;
        parts.forEach((part, index) => {
            context.drawImage(part, padding, y, ...sizes[index]);
            y += sizes[index][1] + 10;
        });
        return result;
    }

    /** Return the lines of a text that is broken at spaces. */
    function wrap(text, width, measure) {
        const result = [];
        for (const word of text.split(" ").filter(Boolean)) {
            const longer = result.length ? `${result[result.length - 1]} ${word}` : word;
            if (result.length && measure(longer) <= width) result[result.length - 1] = longer;
            else result.push(shorten(word, width, measure));
        }
        return result;
    }

    return {
        theme,
        colourScale,
        inkOn,
        formatNumber,
        heatMap,
        cellAt,
        lines,
        bars,
        scatter,
        png,
    };
})();
if (typeof module !== "undefined") module.exports = Charts;
