<?php

/** Requests -> frames, contents of frames -> replies. No I/O; what a command's reply holds is Reply's to check. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Codec
{
    private const JSON = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES
        | JSON_PRESERVE_ZERO_FRACTION;

    /** Deeper than any reply; PHP's own bound on what a broken peer may make it build. */
    private const MAX_DEPTH = 32;

    /**
     * A whole frame, its images raw behind the JSON.
     *
     * @param array<string, mixed> $request without `image_bytes`
     * @param list<string> $images raw bytes
     */
    public static function encode(
        #[\SensitiveParameter] array $request,
        #[\SensitiveParameter] array $images = [],
    ): string {
        if ($images !== []) {
            $request['image_bytes'] = array_map(strlen(...), array_values($images));
        }
        $json = json_encode($request, self::JSON);
        $length = strlen($json) + ($images === [] ? 0 : 1 + array_sum($request['image_bytes']));
        return pack('N', $length) . $json . ($images === [] ? '' : "\0" . implode('', $images));
    }

    /**
     * The reply to the request of this `seq`.
     *
     * @throws Refused when it says so
     * @throws Garbled when it is no reply, or another request's
     */
    public static function decode(string $content, bool|int|float|string|null $seq): Reply
    {
        $reply = self::object($content);
        $refusal = $reply->bool('ok') ? null : self::refusal($reply->object('error'));
        // What the daemon refuses before it could read the request has no seq to echo.
        if (!$reply->has('seq', $seq) && ($refusal === null || !$reply->has('seq', null))) {
            throw Garbled::because('it answered another request than was asked');
        }
        return $refusal === null ? $reply : throw $refusal;
    }

    public static function refusal(Reply $error): Refused
    {
        $error->string('act');
        return Refused::because($error->string('code'), $error->string('message'), $error->map('detail'));
    }

    private static function object(string $content): Reply
    {
        try {
            $value = json_decode($content, true, self::MAX_DEPTH, JSON_THROW_ON_ERROR);
        } catch (\JsonException $error) {
            throw Garbled::because('its answer is no JSON: ' . $error->getMessage());
        }
        // PHP's arrays do not tell {} from []; the text does.
        if (!is_array($value) || !str_starts_with(ltrim($content), '{')) {
            throw Garbled::because('its answer is no JSON object');
        }
        return new Reply($value);
    }
}
