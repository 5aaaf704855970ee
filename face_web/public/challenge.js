/**
 * How far a person has come with what a challenge asks for. Pure; knows no page, no camera and no clock.
 *
 * Kinds of steps are the daemon's (face_server/wire/PROTOCOL.md), and so is their left: that of the picture as the camera
 * took it. Everything is measured against the person's own first moments, as face_server/liveness/pose.py does.
 */

/**
 * Limits, in distances between the eyes, sizes in times the first. The daemon's are least_turn 0.08, least_nod 0.06,
 * least_closer 1.1 and least_foreshortening 0.72. The finder's landmarks are not the daemon's: in films of two men who turn
 * or nod it saw 0.6 to 1.8 times the daemon's movement, on drawn turns and nods of 12 people 1.0 to 1.2 times, and of a
 * still head it strays by 0.02 aside and 0.04 up and down (cd tests && ../.venv/bin/python -m e2e.finder_turns).
 */
export const LIMITS = {
    /** A turn by some 14 degrees. Who gets here is about to go further, and is let (follow.js). */
    turn: 0.15,
    /** A nod by some 12. */
    nod: 0.14,
    closer: 1.22,
    /** Nearer than this a face no longer fits into the picture. */
    tooClose: 2,
    /** Who comes closer looks ahead, as the daemon has it (MOST_ASIDE): nearness alone moves the nose by 0.05. */
    aside: 0.1,
    /** Below it the head is turned by more than 40 degrees or so: the daemon's 0.72 stood against 0.77 to 0.82 here. */
    tooNarrow: 0.78,
    /** A movement is at least this share of that along the other axis; the daemon's is 0.6. */
    mainly: 0.75,
};

/** From this share of a movement on it has begun, and what else goes wrong may be told. */
const BEGUN = 0.4;

/** Kind: what moves, and which way. y grows downwards. */
const MOVEMENTS = {
    turn_left: { axis: 'yaw', sign: -1 },
    turn_right: { axis: 'yaw', sign: 1 },
    look_up: { axis: 'pitch', sign: -1 },
    look_down: { axis: 'pitch', sign: 1 },
};

/**
 * The shape of the one face of a measurement (see guidance.js), or null: yaw and pitch as the nose's place beside the middle
 * of eyes and mouth, width over height of these, and their size in shares of the picture.
 */
export function shapeOf({ width, height, faces }) {
    const landmarks = faces.length === 1 ? faces[0].landmarks : null;
    if (landmarks === null) {
        return null;
    }
    const [left, right, nose, mouthLeft, mouthRight] = landmarks;
    const across = [right[0] - left[0], right[1] - left[1]];
    const down = [0, 1].map((axis) => (mouthLeft[axis] + mouthRight[axis] - left[axis] - right[axis]) / 2);
    const off = [0, 1].map((axis) => nose[axis] - (left[axis] + right[axis] + mouthLeft[axis] + mouthRight[axis]) / 4);
    const [wide, high] = [Math.max(1, Math.hypot(...across)), Math.max(1, Math.hypot(...down))];
    return {
        yaw: (off[0] * across[0] + off[1] * across[1]) / wide ** 2,
        pitch: (off[1] * across[0] - off[0] * across[1]) / wide ** 2,
        width: wide / high,
        size: Math.sqrt(wide * high) / Math.max(width, height),
    };
}

/** The middle value of each measure; null without shapes. */
export function middleOf(shapes) {
    if (shapes.length === 0) {
        return null;
    }
    const middle = (name) => shapes.map((shape) => shape[name]).sort((a, b) => a - b)[Math.floor(shapes.length / 2)];
    return { yaw: middle('yaw'), pitch: middle('pitch'), width: middle('width'), size: middle('size') };
}

/**
 * @param {string} kind of the step
 * @param {object} first the shape of looking straight ahead
 * @param {object} measurement
 * @returns {{reach: number, done: boolean, hint: string|null}} reach: how far, 1 being far enough, at least 0; done: that far,
 *     and nothing else amiss; hint: a key below camera.liveness.hint, of what would help, null for nothing
 */
export function progress(kind, first, measurement) {
    const shape = shapeOf(measurement);
    if (shape === null) {
        return { reach: 0, done: false, hint: measurement.faces.length > 1 ? 'several' : 'nobody' };
    }
    return kind === 'come_closer' ? closer(first, shape) : moved(MOVEMENTS[kind], first, shape);
}

function closer(first, shape) {
    const times = shape.size / first.size;
    if (times > LIMITS.tooClose) {
        return { reach: 1, done: false, hint: 'less_close' };
    }
    const reach = Math.max(0, (times - 1) / (LIMITS.closer - 1));
    const ahead = Math.max(Math.abs(shape.yaw - first.yaw), Math.abs(shape.pitch - first.pitch)) <= LIMITS.aside;
    return { reach, done: reach >= 1 && ahead, hint: reach >= 1 && !ahead ? 'ahead' : null };
}

function moved({ axis, sign }, first, shape) {
    const [yaw, pitch] = [shape.yaw - first.yaw, shape.pitch - first.pitch];
    const value = sign * (axis === 'yaw' ? yaw : pitch);
    const aside = Math.abs(axis === 'yaw' ? pitch : yaw);
    const least = axis === 'yaw' ? LIMITS.turn : LIMITS.nod;
    const reach = Math.max(0, value / least);
    if (value <= -BEGUN * least) {
        return { reach, done: false, hint: 'other_way' };
    }
    if (aside > BEGUN * least && value < LIMITS.mainly * aside) {
        return { reach, done: false, hint: axis === 'yaw' ? 'level' : 'straight' };
    }
    const narrower = axis === 'yaw' ? shape.width / first.width : first.width / shape.width;
    if (reach >= 1 && narrower < LIMITS.tooNarrow) {
        return { reach, done: false, hint: 'less' };
    }
    return { reach, done: reach >= 1, hint: reach > BEGUN && reach < 1 ? 'more' : null };
}
