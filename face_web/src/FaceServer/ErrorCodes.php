<?php

/** The errors of PROTOCOL.md section 2: code => who must act. Knows no sentence. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class ErrorCodes
{
    public const ACTS = [
        'malformed' => 'client',
        'frame_too_large' => 'client',
        'unknown_command' => 'client',
        'too_many_images' => 'client',
        'image_too_large' => 'client',
        'timed_out' => 'client',
        'tls_required' => 'client',
        'no_face' => 'person',
        'several_faces' => 'person',
        'face_too_small' => 'person',
        'too_dark' => 'person',
        'too_bright' => 'person',
        'blurred' => 'person',
        'turned_away' => 'person',
        'cut_off' => 'person',
        'image_unreadable' => 'person',
        'different_people' => 'person',
        'not_live' => 'person',
        'unauthorised' => 'web',
        'unknown_subject' => 'web',
        'duplicate_person' => 'web',
        'not_the_subject' => 'web',
        'challenge_required' => 'web',
        'challenge_unknown' => 'web',
        'busy' => 'operator',
        'shutting_down' => 'operator',
        'storage_full' => 'operator',
        'gallery_unavailable' => 'operator',
        'index_failed' => 'operator',
        'model_mismatch' => 'operator',
        'threshold_unsupported' => 'operator',
        'internal' => 'operator',
    ];

    /** Errors about one image rather than about the whole request. */
    public static function isOfAnImage(string $code): bool
    {
        // A missing life is said of all of them together.
        return (self::ACTS[$code] === 'person' && $code !== 'not_live')
            || in_array($code, ['image_too_large', 'not_the_subject'], true);
    }

    /** The code, or `internal` for one of a later daemon. */
    public static function known(string $code): string
    {
        return isset(self::ACTS[$code]) ? $code : 'internal';
    }
}
