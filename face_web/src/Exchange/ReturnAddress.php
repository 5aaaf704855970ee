<?php

/**
 * What an address must be like before a browser is ever sent to it. Owns the rules and the only way to add parameters;
 * knows no clients. Addresses are compared as strings, never by their parts: nothing here normalises.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class ReturnAddress
{
    /** Ten of them fit the column. */
    private const MAX_BYTES = 300;
    private const SHAPE = '~\A(?<scheme>https?)://'
        . '(?<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?<port>[1-9][0-9]{0,4}))?'
        . '(?<path>/[A-Za-z0-9._\~!$&\'()+,;=:@%/-]*)(?:\?(?<query>[A-Za-z0-9._\~!$&\'()+,;=:@%/?-]*))?\z~';
    private const LOOPBACK = ['127.0.0.1', 'localhost'];
    /** What the answer adds: a registered address that has them already would make the answer ambiguous. */
    private const ANSWER = ['code', 'state', 'error', 'iss'];

    /** @throws ClientRefused naming the rule that the address breaks */
    public static function check(string $address): void
    {
        $rule = self::brokenRule($address);
        if ($rule !== null) {
            throw ClientRefused::address($address, $rule);
        }
    }

    /** scheme://host[:port] of a checked address: letters, digits, dots, hyphens and colons only. */
    public static function origin(string $address): string
    {
        preg_match('~\A[a-z]+://[a-z0-9.:-]+~', $address, $found);
        return $found[0] ?? '';
    }

    public static function host(string $address): string
    {
        return substr((string) strstr(self::origin($address), '://'), 3);
    }

    /** @param array<string, string> $answer */
    public static function with(string $address, array $answer): string
    {
        $joint = str_contains($address, '?') ? '&' : '?';
        return $address . $joint . http_build_query($answer, '', '&', PHP_QUERY_RFC3986);
    }

    private static function brokenRule(string $address): ?string
    {
        return match (true) {
            strlen($address) > self::MAX_BYTES => 'it is longer than ' . self::MAX_BYTES . ' bytes',
            str_contains($address, '*') => 'wildcards are not accepted, register each address',
            str_contains($address, '#') => 'a fragment never reaches a server',
            preg_match(self::SHAPE, $address, $part) !== 1 => 'it must be https://host[:port]/path[?query], with the'
                . ' host in lower case, without user name, spaces, backslashes or characters beyond ASCII',
            (int) ($part['port'] ?? 0) > 65535 => 'there is no such port',
            $part['scheme'] === 'http' && !in_array($part['host'], self::LOOPBACK, true)
                => 'http is accepted on ' . implode(' and ', self::LOOPBACK) . ' only, use https',
            self::hasDots($part['path']) => 'a path must not hold . or .. segments',
            self::namesAnswer($part['query'] ?? '') => 'its query must not use ' . implode(', ', self::ANSWER),
            default => null,
        };
    }

    /** Browsers would resolve such segments (encoded ones too), and go elsewhere than what was registered. */
    private static function hasDots(string $path): bool
    {
        return array_intersect(['.', '..'], explode('/', rawurldecode($path))) !== [];
    }

    private static function namesAnswer(string $query): bool
    {
        parse_str($query, $parameters);
        return array_intersect(self::ANSWER, array_map('strval', array_keys($parameters))) !== [];
    }
}
