<?php

/**
 * The name under which one request is found again: in its answer, in the site's log and in the daemon's. The site makes
 * it up, or takes what a trusted proxy has called the request.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Http\Request;
use FaceWeb\Security\Sources;

final class RequestId
{
    public const HEADER = 'X-Request-Id';
    /** What the daemon takes for one has 64 characters; further calls of a request add `.2`, `.3` and so on. */
    private const SHAPE = '/\A[A-Za-z0-9._-]{1,60}\z/';
    /** An address that belongs to nobody (RFC 5737). */
    private const NOBODY = '192.0.2.1';

    public static function of(Request $request, Sources $sources): string
    {
        $given = (string) $request->header(self::HEADER);
        // Whom a hop is believed of is a trusted proxy.
        $own = $sources->of($request->remoteAddress, null);
        $trusted = $sources->of($request->remoteAddress, self::NOBODY) !== $own;
        return $trusted && preg_match(self::SHAPE, $given) === 1 ? $given : self::fresh();
    }

    public static function fresh(): string
    {
        return bin2hex(random_bytes(16));
    }
}
