<?php

/**
 * Owns which address counts as the source of a request. X-Forwarded-For is believed only hop by hop from the right,
 * as long as the hop before is a trusted proxy: what a client writes into it stands to the left and is not reached.
 * IPv6 is cut to /64, the least that one customer gets, so that nobody has 2^64 sources.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use InvalidArgumentException;

final class Sources
{
    /** No honest chain is longer; the rest of a longer header is not read. */
    private const MAX_HOPS = 20;

    /** @var list<array{string, int}> address in binary, prefix length */
    private readonly array $trusted;

    /** @param list<string> $trustedProxies addresses or networks (10.0.0.0/8, fd00::/8) */
    public function __construct(array $trustedProxies)
    {
        $this->trusted = array_map(self::network(...), array_values($trustedProxies));
    }

    public function of(string $remoteAddr, ?string $forwardedFor): string
    {
        $address = self::binary($remoteAddr);
        if ($address === null) {
            return 'unknown';
        }
        $hops = array_reverse(explode(',', (string) $forwardedFor));
        foreach (array_slice($hops, 0, self::MAX_HOPS) as $hop) {
            $before = self::binary($hop);
            if ($before === null || !$this->isTrusted($address)) {
                break;
            }
            $address = $before;
        }
        return self::text($address);
    }

    private function isTrusted(string $address): bool
    {
        foreach ($this->trusted as [$network, $bits]) {
            if (strlen($network) === strlen($address) && self::cut($address, $bits) === $network) {
                return true;
            }
        }
        return false;
    }

    /** @return array{string, int} */
    private static function network(string $text): array
    {
        [$host, $bits] = explode('/', trim($text), 2) + [1 => null];
        $address = self::binary($host);
        $widest = 8 * strlen((string) $address);
        $prefix = $bits ?? (string) $widest;
        if ($address === null || !ctype_digit($prefix) || (int) $prefix > $widest) {
            throw new InvalidArgumentException("[web] trusted_proxies: '$text' is no address and no network");
        }
        return [self::cut($address, (int) $prefix), (int) $prefix];
    }

    /** Four or sixteen bytes; `1.2.3.4:80`, `[::1]:80` and `::ffff:1.2.3.4` are read too. */
    private static function binary(string $text): ?string
    {
        $host = trim($text);
        if (preg_match('/^\[([0-9a-fA-F:.]+)\](:\d+)?$/D', $host, $found) === 1) {
            $host = $found[1];
        } elseif (preg_match('/^([0-9.]+):\d+$/D', $host, $found) === 1) {
            $host = $found[1];
        }
        $host = (string) preg_replace('/%.*$/D', '', $host);
        $address = filter_var($host, FILTER_VALIDATE_IP) === false ? false : inet_pton($host);
        if ($address === false) {
            return null;
        }
        $mapped = str_repeat("\0", 10) . "\xff\xff";
        return str_starts_with($address, $mapped) ? substr($address, 12) : $address;
    }

    private static function text(string $address): string
    {
        return strlen($address) === 4 ? inet_ntop($address) : inet_ntop(self::cut($address, 64)) . '/64';
    }

    private static function cut(string $address, int $bits): string
    {
        $mask = str_repeat("\xff", intdiv($bits, 8));
        $mask .= $bits % 8 === 0 ? '' : chr((0xff << (8 - $bits % 8)) & 0xff);
        return $address & str_pad($mask, strlen($address), "\0");
    }
}
