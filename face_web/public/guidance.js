/**
 * From what was measured in a frame to what the person should do, and when to take the picture. Pure; knows no page, no
 * camera and no clock: the time is handed in, in milliseconds.
 *
 * A measurement is {width, height, faces: [{box: [x1, y1, x2, y2], landmarks: [[x, y] x 5] | null}], light: {face, frame,
 * burntOut} | null, sharpness: number | null} in pixels of the picture as the camera gave it, not mirrored. Left and right in
 * an advice are the person's own; their left is to the right in that picture.
 */

/** Limits, a little stricter than the daemon's for enrolment ([quality] in config.ini), so that what is green passes. */
const LIMITS = {
    /** Height of the face's box, in shares of the picture's shorter side. */
    leastHeight: 0.32,
    mostHeight: 0.74,
    /** How far the box's middle may be from the oval's, in the same shares. */
    offCentre: 0.14,
    /** Where the oval's middle lies, and the box's: brows to chin sit lower than a head's middle. */
    middle: 0.52,
    /** Grey levels 0..255; the daemon wants 40 to enrol. */
    leastLight: 55,
    /** Share of the face that is burnt out; the daemon takes 0.1. */
    mostBurntOut: 0.08,
    /** A face this dark in a frame this many times as bright is lit from behind. */
    backlitFace: 85,
    backlitTimes: 2,
    /** Grey levels squared; the daemon wants 4 to enrol. */
    leastSharpness: 5,
    /** Degrees. */
    mostRoll: 22,
    /** Nose beside the middle, in heights from eyes to mouth; the daemon takes 0.33 to enrol. */
    straightYaw: 0.2,
    leastTurn: 0.08,
    mostTurn: 0.32,
    /** How far the middle of the face moved since the last measurement, in face widths. */
    mostMove: 0.12,
    /** A second face that is less than this share as wide as the first is somebody in the background. */
    secondFace: 0.5,
};

/** What is green may be this much worse and stay so, or it would flicker. */
const HYSTERESIS = 1.15;

/** Green for so long before the picture is taken. */
const GREEN_MS = 500;

/** A pose is advice: after this long a face that looks straight ahead is taken as well. */
const PATIENCE_MS = 8000;

/** Watches measurements for one pose: 'straight', 'left' or 'right'. */
export class Guide {
    #pose;
    #since = null;
    #greenSince = null;
    #last = null;

    constructor(pose = 'straight') {
        this.#pose = pose;
    }

    /**
     * @returns {{advice: string, green: boolean, ready: boolean}} advice is a key below camera.advice; ready: take it now
     */
    update(measurement, now) {
        this.#since ??= now;
        const green = this.#greenSince !== null;
        const pose = now - this.#since > PATIENCE_MS && this.#pose !== 'straight' ? 'any' : this.#pose;
        const advice = advise(measurement, pose, this.#last, green ? HYSTERESIS : 1);
        this.#last = measurement;
        this.#greenSince = advice === 'good' ? this.#greenSince ?? now : null;
        return { advice, green: advice === 'good', ready: advice === 'good' && now - this.#greenSince >= GREEN_MS };
    }
}

/** The one advice that helps most: a cause before what it causes. `last` is the measurement before, or null. */
export function advise(measurement, pose = 'straight', last = null, slack = 1) {
    const face = largest(measurement.faces);
    if (face === null) {
        return 'nobody';
    }
    return crowd(measurement.faces, face)
        ?? place(face, measurement, slack)
        ?? light(measurement.light, slack)
        ?? turn(face.landmarks, pose, slack)
        ?? stillness(face, measurement, last, slack)
        ?? 'good';
}

function largest(faces) {
    return faces.reduce((best, face) => (best === null || widthOf(face) > widthOf(best) ? face : best), null);
}

function widthOf({ box }) {
    return box[2] - box[0];
}

function middleOf({ box }) {
    return [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
}

function crowd(faces, face) {
    const others = faces.filter((other) => other !== face && widthOf(other) >= LIMITS.secondFace * widthOf(face));
    return others.length > 0 ? 'several' : null;
}

function place(face, { width, height }, slack) {
    const side = Math.min(width, height);
    const tall = (face.box[3] - face.box[1]) / side;
    if (tall < LIMITS.leastHeight / slack) {
        return 'closer';
    }
    if (tall > LIMITS.mostHeight * slack) {
        return 'back';
    }
    const [x, y] = middleOf(face);
    const right = (x - width / 2) / side;
    const down = (y - height / 2) / side - (LIMITS.middle - 0.5);
    const limit = LIMITS.offCentre * slack;
    if (Math.max(Math.abs(right), Math.abs(down)) <= limit) {
        return null;
    }
    if (Math.abs(right) >= Math.abs(down)) {
        return right > 0 ? 'move_right' : 'move_left';
    }
    return down > 0 ? 'move_up' : 'move_down';
}

function light(measured, slack) {
    if (measured === null) {
        return null;
    }
    if (measured.burntOut > LIMITS.mostBurntOut * slack) {
        return 'less_light';
    }
    if (measured.face < LIMITS.backlitFace / slack && measured.frame > LIMITS.backlitTimes * slack * measured.face) {
        return 'front_light';
    }
    return measured.face < LIMITS.leastLight / slack ? 'more_light' : null;
}

/** Yaw and roll from five points, as face_server/vision/quality.py has them. Yaw is positive to the person's own left. */
export function poseOf(landmarks) {
    const [left, right, nose, mouthLeft, mouthRight] = landmarks;
    const roll = Math.atan2(right[1] - left[1], right[0] - left[0]);
    const middle = [0, 1].map((axis) => (left[axis] + right[axis] + mouthLeft[axis] + mouthRight[axis]) / 4);
    const down = [0, 1].map((axis) => (mouthLeft[axis] + mouthRight[axis] - left[axis] - right[axis]) / 2);
    const along = (nose[0] - middle[0]) * Math.cos(roll) + (nose[1] - middle[1]) * Math.sin(roll);
    return { yaw: along / Math.max(1, Math.hypot(...down)), roll: (roll * 180) / Math.PI };
}

function turn(landmarks, pose, slack) {
    if (landmarks === null) {
        return null;
    }
    const { yaw, roll } = poseOf(landmarks);
    if (Math.abs(roll) > LIMITS.mostRoll * slack) {
        return 'upright';
    }
    if (Math.abs(yaw) > LIMITS.mostTurn * slack) {
        return 'turn_less';
    }
    if (pose === 'straight') {
        return Math.abs(yaw) > LIMITS.straightYaw * slack ? 'turn_less' : null;
    }
    if (pose === 'left') {
        return yaw < LIMITS.leastTurn / slack ? 'turn_left' : null;
    }
    return pose === 'right' && yaw > -LIMITS.leastTurn / slack ? 'turn_right' : null;
}

/** Finders look at pictures of several sizes, so places are compared in shares of the width. */
function stillness(face, { width, sharpness }, last, slack) {
    if (sharpness !== null && sharpness < LIMITS.leastSharpness / slack) {
        return 'blurred';
    }
    const before = last === null ? null : largest(last.faces);
    if (before === null) {
        return null;
    }
    const [x, y] = middleOf(face);
    const [formerX, formerY] = middleOf(before).map((at) => (at * width) / last.width);
    return Math.hypot(x - formerX, y - formerY) > LIMITS.mostMove * slack * widthOf(face) ? 'still' : null;
}
