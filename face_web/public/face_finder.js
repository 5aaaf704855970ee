/**
 * The face finder of the vendored package face-api, opened only after the browser compared the hash of each of its files.
 * Owns the hashes (those of ../vendor.toml; a test compares) and the way from a verified byte to a network. Knows no page,
 * no camera and no server but the directory the files lie in. What it finds only guides; it decides nothing.
 */

const INTEGRITY = {
    'face-api.js': 'sha256-AWD3rzqMeM7ORcfsx2U4O610vs/UOLt4fN1iey1vLPY=',
    'tfjs-backend-wasm-simd.wasm': 'sha256-d+uyim0083HbvyCGt/LeiZSs2OpaPPH6JNLCbIQMrHs=',
    'tiny_face_detector_model-weights_manifest.json': 'sha256-XRr0hJrEjVuYX0qbFgEMUSNT3db8xj1Q/QvJ6eZCluU=',
    'tiny_face_detector_model.bin': 'sha256-t1A8598xA5scQzFqm4Zcq2pw3XSMxgLT+ii1UVA8OHE=',
    'face_landmark_68_tiny_model-weights_manifest.json': 'sha256-mhpd0Z/YFP1QlcPLWPjg0xk7jFuaZxWzCmnVWa6jGtQ=',
    'face_landmark_68_tiny_model.bin': 'sha256-uY6fL32nb4pt2pdBo27UhbIkuInVUt4rLBuxYhf2e/w=',
};

const SCORE_THRESHOLD = 0.5;

/** Of the 68 landmarks: the points of each eye, the tip of the nose, the corners of the mouth. Left is left in the picture. */
const EYE_LEFT = [36, 37, 38, 39, 40, 41];
const EYE_RIGHT = [42, 43, 44, 45, 46, 47];
const NOSE = 30;
const MOUTH = [48, 54];

/**
 * Loads the networks. Rejects when a file is absent or not the one stated, or when nothing here can run it.
 * The second argument of what it gives is the side of the square that the detector sees, a multiple of 32.
 * @param {string} directory the address of the files, ending in a slash, on this site
 * @returns {Promise<(canvas: HTMLCanvasElement, side: number) => Promise<Array<{box: number[], landmarks: number[][]}>>>}
 */
export async function loadFaceFinder(directory) {
    const faceapi = await library(directory);
    await chooseBackend(faceapi.tf, directory);
    const detector = new faceapi.TinyFaceDetector();
    const landmarks = new faceapi.FaceLandmark68TinyNet();
    await Promise.all([
        load(faceapi.tf, detector, directory, 'tiny_face_detector_model'),
        load(faceapi.tf, landmarks, directory, 'face_landmark_68_tiny_model'),
    ]);
    return (canvas, side) => find(faceapi, detector, landmarks, canvas, side);
}

async function find(faceapi, detector, landmarks, canvas, side) {
    const options = new faceapi.TinyFaceDetectorOptions({ inputSize: side, scoreThreshold: SCORE_THRESHOLD });
    const found = await detector.locateFaces(canvas, options);
    if (found.length !== 1) {
        return found.map(({ box }) => ({ box: corners(box), landmarks: null }));
    }
    const box = found[0].box;
    const [crop] = await faceapi.extractFaces(canvas, [box]);
    const points = (await landmarks.detectLandmarks(crop)).positions;
    return [{ box: corners(box), landmarks: fivePoints(points, Math.max(0, box.x), Math.max(0, box.y)) }];
}

function corners(box) {
    return [box.left, box.top, box.right, box.bottom];
}

function fivePoints(points, left, top) {
    const middle = (indices) => indices
        .map((index) => points[index])
        .reduce(([x, y], point) => [x + point.x / indices.length, y + point.y / indices.length], [left, top]);
    return [middle(EYE_LEFT), middle(EYE_RIGHT), middle([NOSE]), middle([MOUTH[0]]), middle([MOUTH[1]])];
}

/** The package itself, as a classic script, since only such an element has an integrity that every browser honours. */
function library(directory) {
    return new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = `${directory}face-api.js`;
        script.integrity = INTEGRITY['face-api.js'];
        script.addEventListener('load', () => (window.faceapi ? resolve(window.faceapi) : reject(new Error('no face-api'))));
        script.addEventListener('error', () => reject(new Error('face-api.js is absent or not the one stated')));
        document.head.append(script);
    });
}

/**
 * WebAssembly, since networks as small as these need a tenth of WebGL's time in it where there is no graphics card, and no
 * seconds of preparing first (docs/measurements.md). WebGL in a browser without SIMD, or where a policy allows no
 * WebAssembly. Never plain JavaScript, in whose half a second to a second and a half for each picture the page answers
 * nobody: the daemon is the better finder then.
 */
async function chooseBackend(tf, directory) {
    for (const begun of [() => webAssembly(tf, directory), () => tf.setBackend('webgl')]) {
        if (await begun().catch(() => false)) {
            await tf.ready();
            return;
        }
    }
    throw new Error('neither WebAssembly nor WebGL');
}

/** The package waits for ever where its code cannot be compiled, so that is tried first; and it is handed the verified code. */
async function webAssembly(tf, directory) {
    const code = await (await verified(directory, 'tfjs-backend-wasm-simd.wasm')).arrayBuffer();
    await WebAssembly.compile(code);
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    tf.env().platform.fetch = async () => new Response(code);
    tf.setWasmPaths(directory, true);
    return tf.setBackend('wasm');
}

async function load(tf, network, directory, name) {
    const manifest = await (await verified(directory, `${name}-weights_manifest.json`)).json();
    const weights = await (await verified(directory, `${name}.bin`)).arrayBuffer();
    network.loadFromWeightMap(tf.io.decodeWeights(weights, manifest[0].weights));
}

/** The browser itself compares the hash, and rejects. */
async function verified(directory, name) {
    const answer = await fetch(directory + name, { integrity: INTEGRITY[name], credentials: 'same-origin' });
    if (!answer.ok) {
        throw new Error(`${name}: ${answer.status}`);
    }
    return answer;
}
