// Bar and line charts as SVG: no dependency, the same bytes for the same figures.

const WIDTH = 760;
const LABELS = 230; // room for titles on the left
const BAR = 15;
const GAP = 14; // between groups
const TOP = 52; // below the headings
const LEGEND_ROW = 16;
const COLOURS = ["#9aa0a6", "#009639", "#7cc48f", "#2b6cb0", "#b7791f", "#d53f8c", "#6b46c1", "#c05621"];
const STYLE = "font-family: system-ui, sans-serif; font-size: 12px; fill: #24292f";

/**
 * @typedef {{ name: string, colour: number, values: (number | undefined)[] }} Row one contestant, a value per label; its colour
 *   is the same in all charts
 * @typedef {{ title: string, note: string, labels: string[], rows: Row[], line?: number }} Chart `line`: a mark at this value
 */

/** Horizontal bars, a group per label. @param {Chart} chart */
export function barChart({ title, note, labels, rows, line }) {
  const all = rows.flatMap(({ values }) => values.filter((value) => value !== undefined));
  const top = Math.max(line ?? 0, ...all) * 1.12 || 1;
  const scale = (/** @type {number} */ value) => (value / top) * (WIDTH - LABELS - 20);
  const parts = [];
  const names = legend(rows);
  const begin = TOP + names.rows * LEGEND_ROW;
  let y = begin;
  for (const [at, label] of labels.entries()) {
    const drawn = rows.flatMap(({ colour, values: { [at]: value } }) =>
      value === undefined ? [] : [{ value, colour: colourOf(colour) }],
    );
    parts.push(text(LABELS - 8, y + (drawn.length * BAR) / 2 + 4, label, "end"));
    for (const { value, colour } of drawn) {
      parts.push(`<rect x="${LABELS}" y="${y}" width="${fixed(scale(value))}" height="${BAR - 2}" fill="${colour}"/>`);
      parts.push(text(LABELS + scale(value) + 4, y + BAR - 4, value.toFixed(2), "start", 10));
      y += BAR;
    }
    y += GAP;
  }
  if (line !== undefined) parts.push(mark(LABELS + scale(line), begin - 6, y - GAP));
  return svg(y, [...heading(title, note), ...names.parts, ...parts]);
}

/** @param {number} x @param {number} from @param {number} bottom */
function mark(x, from, bottom) {
  return `<line x1="${fixed(x)}" y1="${from}" x2="${fixed(x)}" y2="${bottom}" stroke="#24292f" stroke-dasharray="3 3"/>`;
}

/** @param {string} title @param {string} note */
function heading(title, note) {
  return [text(8, 18, title, "start", 14), text(8, 34, note, "start", 11)];
}

/** Names that have values, in as many rows as they need. @param {readonly Row[]} rows */
function legend(rows) {
  let x = 8;
  let y = 42;
  let count = 1;
  const shown = rows.filter(({ values }) => values.some((value) => value !== undefined));
  const parts = shown.map(({ name, colour }) => {
    const width = 26 + name.length * 6.4;
    if (x + width > WIDTH) {
      x = 8;
      y += LEGEND_ROW;
      count++;
    }
    const part = `<rect x="${fixed(x)}" y="${y}" width="10" height="10" fill="${colourOf(colour)}"/>${text(x + 14, y + 9, name, "start", 11)}`;
    x += width;
    return part;
  });
  return { parts, rows: count };
}

/** @param {number} index */
function colourOf(index) {
  return COLOURS[index % COLOURS.length] ?? "#000";
}

/** @param {number} x @param {number} y @param {string} words @param {"start" | "end"} anchor @param {number} [size] */
function text(x, y, words, anchor, size = 12) {
  const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" style="${STYLE}; font-size: ${size}px">${escaped}</text>`;
}

/** @param {number} value */
function fixed(value) {
  return Number(value.toFixed(1));
}

/** @param {number} height @param {readonly string[]} parts */
function svg(height, parts) {
  const size = `width="${WIDTH}" height="${Math.ceil(height)}" viewBox="0 0 ${WIDTH} ${Math.ceil(height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n<rect width="100%" height="100%" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`;
}
