/** Frames: a video's or a file's picture as JPEG, and bursts of differing ones. Knows canvases; no page, no server. */

import { pause } from './pause.js';
import { difference, greyOf, sameBytes } from './picture.js';

/** The longer side of what is sent: 1280x720 of a camera that gives more. */
const LONGEST = 1280;

const QUALITY = 0.92;

/** Three frames take about a second with what it takes to make them. */
const BETWEEN_MS = 350;

/** A live camera gives noise at least; after this long without a difference it is none. */
const PATIENCE_MS = 4000;

/** Mean difference of small grey copies, in grey levels, from which frames differ. Sensor noise, averaged, moves this much. */
const LEAST_DIFFERENCE = 0.02;

const COPY = { width: 64, height: 48 };

/** The picture stands still. */
export class Frozen extends Error {}

/**
 * Takes frames that differ from each other, so many milliseconds apart.
 * @returns {Promise<Blob[]>} rejects with Frozen, or with the signal's reason
 */
export async function takeBurst(video, count, signal, betweenMs = BETWEEN_MS) {
    const taken = [];
    let deadline = performance.now() + PATIENCE_MS;
    while (taken.length < count) {
        signal.throwIfAborted();
        const frame = await takeFrame(video);
        if (taken.every((other) => differ(frame, other))) {
            taken.push(frame);
            deadline = performance.now() + PATIENCE_MS;
        } else if (performance.now() > deadline) {
            throw new Frozen('the picture does not change');
        }
        if (taken.length < count) {
            await pause(betweenMs, signal);
        }
    }
    return taken.map((frame) => frame.blob);
}

/** A photograph of a file, made smaller and without what a file tells beside its picture (place, time). */
export async function takeFile(file) {
    const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
    try {
        return await jpegOf(drawn(bitmap, bitmap.width, bitmap.height, LONGEST));
    } finally {
        bitmap.close();
    }
}

/** A source drawn with its longer side at most `longest`. */
export function drawn(source, width, height, longest, canvas = document.createElement('canvas')) {
    const scale = Math.min(1, longest / Math.max(width, height));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.getContext('2d', { willReadFrequently: true }).drawImage(source, 0, 0, canvas.width, canvas.height);
    return canvas;
}

export function jpegOf(canvas, quality = QUALITY) {
    return new Promise((resolve, reject) => {
        canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no JPEG'))), 'image/jpeg', quality);
    });
}

async function takeFrame(video) {
    const canvas = drawn(video, video.videoWidth, video.videoHeight, LONGEST);
    const copy = document.createElement('canvas');
    copy.width = COPY.width;
    copy.height = COPY.height;
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0, COPY.width, COPY.height);
    const grey = greyOf(context.getImageData(0, 0, COPY.width, COPY.height).data);
    const blob = await jpegOf(canvas);
    return { blob, grey, bytes: new Uint8Array(await blob.arrayBuffer()) };
}

function differ(one, other) {
    return difference(one.grey, other.grey) >= LEAST_DIFFERENCE && !sameBytes(one.bytes, other.bytes);
}
