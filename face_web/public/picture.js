/**
 * Numbers of pixels: grey levels, light, sharpness, difference. Pure; knows arrays and no canvas, camera or page.
 * Light and sharpness are measured as face_server/vision/quality.py does, roughly: the crop here is a box, not aligned.
 */

/** From this grey level on a pixel counts as burnt out: JPEG moves 255 a little. */
const BURNT_OUT = 250;

/** A darker face is measured as if it were brightened to this: its sharpness would else seem to be less. */
const SHARPNESS_LIGHT = 100;

/**
 * @param {Uint8ClampedArray|number[]} rgba four bytes a pixel
 * @returns {Float32Array} grey levels 0..255 (Rec. 601), one a pixel
 */
export function greyOf(rgba) {
    const grey = new Float32Array(rgba.length / 4);
    for (let i = 0; i < grey.length; i++) {
        grey[i] = 0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2];
    }
    return grey;
}

/** Mean grey level, 0 for no pixels. */
export function mean(grey) {
    return grey.length === 0 ? 0 : grey.reduce((sum, value) => sum + value, 0) / grey.length;
}

/** Share 0..1 of pixels that are burnt out. */
export function burntOut(grey) {
    return grey.length === 0 ? 0 : grey.filter((value) => value >= BURNT_OUT).length / grey.length;
}

/** Variance of the second differences along x or along y, whichever is less, in grey levels squared. */
export function sharpness(grey, width, height) {
    const brighten = Math.max(1, SHARPNESS_LIGHT / Math.max(1, mean(grey)));
    return Math.min(secondDifferences(grey, width, height, 1), secondDifferences(grey, width, height, width)) * brighten ** 2;
}

function secondDifferences(grey, width, height, step) {
    let [sum, squares, count] = [0, 0, 0];
    for (let y = 1; y < height - 1; y++) {
        for (let x = 1; x < width - 1; x++) {
            const at = y * width + x;
            const value = grey[at - step] - 2 * grey[at] + grey[at + step];
            sum += value;
            squares += value * value;
            count++;
        }
    }
    return count === 0 ? 0 : squares / count - (sum / count) ** 2;
}

/** Mean absolute difference of two grey pictures of one size, in grey levels. */
export function difference(one, other) {
    return one.length === 0 ? 0 : one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0) / one.length;
}

/** Whether two byte sequences are the same. */
export function sameBytes(one, other) {
    return one.length === other.length && one.every((value, i) => value === other[i]);
}
