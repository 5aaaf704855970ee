<?php

/**
 * What the camera's script asks before there is a burst: a nonce, and where a face is when the browser cannot find it
 * itself. Neither says anything about who that is.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\FaceServer\Face;
use FaceWeb\FaceServer\Refused;
use FaceWeb\Http\Frames;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Response;
use FaceWeb\Security\Nonces;
use FaceWeb\Services;
use FaceWeb\Visit;

final class CapturePage
{
    /** A picture of 320 x 240 has a tenth of it. */
    private const MAX_DETECT_BYTES = 256 * 1024;

    public function __construct(private readonly Services $services)
    {
    }

    public function begin(Visit $visit): Response
    {
        $purpose = $visit->request->data()['purpose'] ?? null;
        if (!is_string($purpose) || !in_array($purpose, Burst::PURPOSES, true)) {
            throw HttpError::badRequest('no such purpose');
        }
        return Response::json([
            'nonce' => $this->services->nonces()->issue($visit->session->key(), $purpose),
            'expires_s' => Nonces::LIFE_S,
            'frames' => $this->services->config->web->burstFrames,
        ]);
    }

    public function detect(Visit $visit): Response
    {
        if (!$this->services->throttle()->allowDetect($visit->session->key(), $visit->source)) {
            throw HttpError::tooMany(1);
        }
        $picture = $this->picture($visit);
        $visit->session->release();
        try {
            $found = $this->services->faceServer()->detect($picture);
        } catch (Refused $refused) {
            throw $refused->isForPerson() ? HttpError::badRequest($refused->errorCode) : $refused;
        }
        return Response::json([
            'width' => $found->width,
            'height' => $found->height,
            'faces' => array_map(
                static fn (Face $face): array => ['box' => $face->box, 'landmarks' => $face->landmarks],
                $found->faces,
            ),
        ]);
    }

    /** The body itself, or the file of a form. */
    private function picture(Visit $visit): string
    {
        $files = [...$visit->request->uploadsOf('frame'), ...$visit->request->uploadsOf('frames')];
        if ($files !== [] && ($files[0]->tooLarge() || $files[0]->size > self::MAX_DETECT_BYTES)) {
            throw HttpError::tooLarge();
        }
        $picture = $files === [] ? $visit->request->body(self::MAX_DETECT_BYTES) : $files[0]->read();
        return Frames::isJpeg($picture, Frames::MAX_DETECT_PIXELS)
            ? $picture
            : throw HttpError::badRequest('no small JPEG');
    }
}
