<?php

/** Which names and addresses mean this very machine: localhost, 127.0.0.0/8 and ::1. Asks no name server. */

declare(strict_types=1);

namespace FaceWeb;

final class Loopback
{
    /** @param string $host a name or an address, an IPv6 one in brackets or not */
    public static function holds(string $host): bool
    {
        if ($host === 'localhost') {
            return true;
        }
        $packed = filter_var(trim($host, '[]'), FILTER_VALIDATE_IP) === false ? '' : inet_pton(trim($host, '[]'));
        return match (strlen((string) $packed)) {
            4 => $packed[0] === "\x7f",
            16 => $packed === inet_pton('::1'),
            default => false,
        };
    }
}
