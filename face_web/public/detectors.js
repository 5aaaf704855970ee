/**
 * Three ways to know where the face is: the browser's own finder, the daemon's by way of the site, and not at all. Each
 * gives what guidance.js takes. Knows the video and how to ask; not what is made of the answer.
 */

import { drawn, jpegOf } from './capture.js';
import { loadFaceFinder } from './face_finder.js';
import { burntOut, greyOf, mean, sharpness } from './picture.js';

/**
 * How the browser's finder searches: longer side of the picture, side of the square that the finder sees. A face that fills
 * a third of the height is found by NEAR; where nobody is, FAR takes its time to see who must come closer (docs/measurements.md).
 */
const NEAR = { longest: 320, side: 224 };
const FAR = { longest: 416, side: 416 };

/**
 * A movement is followed in a square about the last face, so many times as wide, where the finder sees a face as large as
 * NEAR shows it for a third of the work; and looks are no closer together than this, so that two of them can tell a head
 * that rests from one that moves.
 */
const ABOUT = { times: 1.8, side: 128 };
const FOLLOW_MS = 100;

/** Side of the crop in which light and sharpness are measured, as in the daemon. */
const CROP = 160;

/** The crop is this much wider than the face's box, as the daemon's aligned crop is. */
const CROP_MARGIN = 1.2;

/** Longer side of the picture that the daemon gets. */
const ASKED = 320;

/** The daemon is asked at most three times a second, and after a refusal not for a while. */
const ASK_MS = 340;
const REFUSED_MS = 1500;

/** So many failures of one finder in a row, and the next one is used. */
const FAILURES = 3;

/** Rest after a search, so that the page stays quick: as long as the search took, within these. */
const REST_MS = [60, 200];

/** Tries the finders in their order and stays with the first that works; `null` from measure(): nobody knows. */
export class Detector {
    #ways;
    #failures = 0;

    /** @param {Array<() => Promise<{measure: (video: HTMLVideoElement) => Promise<object>}>>} ways */
    constructor(ways) {
        this.#ways = ways.map((way) => ({ way, made: null }));
    }

    /** Loads the first way while the camera starts. */
    prepare() {
        if (!this.blind) {
            this.#made().catch(() => {});
        }
    }

    /**
     * @param {boolean} brisk soon again, and the faces alone: a movement is being followed
     * @returns {Promise<object|null>} a measurement, or null when no way is left
     */
    async measure(video, brisk = false) {
        while (this.#ways.length > 0) {
            try {
                const measured = await (await this.#made()).measure(video, brisk);
                this.#failures = 0;
                return measured;
            } catch (error) {
                this.#failed(error);
            }
        }
        return null;
    }

    get blind() {
        return this.#ways.length === 0;
    }

    #made() {
        this.#ways[0].made ??= this.#ways[0].way();
        return this.#ways[0].made;
    }

    #failed(error) {
        this.#failures++;
        if (error instanceof Unusable || this.#failures >= FAILURES) {
            this.#ways.shift();
            this.#failures = 0;
        }
    }
}

/** A way that cannot be gone at all. */
export class Unusable extends Error {}

/** The vendored finder. */
export async function inBrowser(directory) {
    try {
        const find = await loadFaceFinder(directory);
        return new BrowserFinder(find);
    } catch (error) {
        throw new Unusable('no finder in the browser', { cause: error });
    }
}

class BrowserFinder {
    #find;
    #canvas = document.createElement('canvas');
    #crop = document.createElement('canvas');
    #about = document.createElement('canvas');
    /** Where the one face of the last picture was, in shares of its width; or null. */
    #last = null;

    constructor(find) {
        this.#find = find;
    }

    async measure(video, brisk) {
        const began = performance.now();
        const measured = await (brisk ? this.#follow(video) : this.#look(video));
        this.#last = measured.faces.length === 1 ? measured.faces[0].box.map((at) => at / measured.width) : null;
        const passed = performance.now() - began;
        const [least, most] = REST_MS;
        await rest(brisk ? FOLLOW_MS - passed : Math.min(most, Math.max(least, passed)));
        return measured;
    }

    async #look(video) {
        const near = await this.#search(video, NEAR);
        return near.faces.length > 0 ? near : this.#search(video, FAR);
    }

    /** About the last face; where it is lost, everywhere. */
    async #follow(video) {
        const canvas = drawn(video, video.videoWidth, video.videoHeight, NEAR.longest, this.#canvas);
        const { width, height } = canvas;
        const faces = this.#last === null ? [] : await this.#searchAbout(canvas, this.#last.map((at) => at * width));
        return faces.length > 0 ? { width, height, faces, light: null, sharpness: null } : this.#look(video);
    }

    async #searchAbout(canvas, box) {
        const side = Math.round(ABOUT.times * Math.max(box[2] - box[0], box[3] - box[1]));
        const corner = [0, 1].map((axis) => Math.round((box[axis] + box[axis + 2] - side) / 2));
        this.#about.width = side;
        this.#about.height = side;
        this.#about.getContext('2d', { willReadFrequently: true }).drawImage(canvas, -corner[0], -corner[1]);
        return (await this.#find(this.#about, ABOUT.side)).map(({ box: found, landmarks }) => ({
            box: found.map((at, i) => at + corner[i % 2]),
            landmarks: landmarks?.map((point) => point.map((at, axis) => at + corner[axis])) ?? null,
        }));
    }

    async #search(video, { longest, side }) {
        const canvas = drawn(video, video.videoWidth, video.videoHeight, longest, this.#canvas);
        return measurement(canvas, await this.#find(canvas, side), video, this.#crop);
    }
}

/** The daemon, asked by way of the site. `ask` takes a JPEG and gives {faces}, or null for "not now". */
export async function inDaemon(ask) {
    return new DaemonFinder(ask);
}

class DaemonFinder {
    #ask;
    #next = 0;
    #canvas = document.createElement('canvas');
    #crop = document.createElement('canvas');

    constructor(ask) {
        this.#ask = ask;
    }

    async measure(video) {
        await rest(this.#next - performance.now());
        this.#next = performance.now() + ASK_MS;
        const canvas = drawn(video, video.videoWidth, video.videoHeight, ASKED, this.#canvas);
        const found = await this.#ask(await jpegOf(canvas, 0.8));
        if (found === null) {
            await rest(REFUSED_MS);
            throw new Error('not now');
        }
        return measurement(canvas, found.faces, video, this.#crop);
    }
}

/** What guidance.js takes: the faces, and light and sharpness of the widest of them in the video's own resolution. */
function measurement(canvas, faces, video, crop) {
    const { width, height } = canvas;
    const widest = faces.reduce((best, face) => (best === null || spanOf(face) > spanOf(best) ? face : best), null);
    if (widest === null) {
        return { width, height, faces, light: null, sharpness: null };
    }
    const face = cropped(video, widest.box, video.videoWidth / width, crop);
    const frame = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    return {
        width,
        height,
        faces,
        light: { face: mean(face), frame: mean(greyOf(frame)), burntOut: burntOut(face) },
        sharpness: sharpness(face, CROP, CROP),
    };
}

function spanOf({ box }) {
    return box[2] - box[0];
}

function cropped(video, box, scale, canvas) {
    const side = Math.max(box[2] - box[0], box[3] - box[1]) * CROP_MARGIN * scale;
    const [left, top] = [0, 1].map((axis) => ((box[axis] + box[axis + 2]) / 2) * scale - side / 2);
    canvas.width = CROP;
    canvas.height = CROP;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, left, top, side, side, 0, 0, CROP, CROP);
    return greyOf(context.getImageData(0, 0, CROP, CROP).data);
}

function rest(ms) {
    return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
