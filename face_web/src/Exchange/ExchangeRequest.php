<?php

/**
 * What a site's server asks at /exchange: its own name and secret, the code, the return address. Read from the form and
 * the Authorization header only: a secret or code in an address would end in the logs of proxies.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class ExchangeRequest
{
    private function __construct(
        public readonly string $clientId,
        #[\SensitiveParameter] public readonly string $secret,
        #[\SensitiveParameter] public readonly string $code,
        public readonly string $returnTo,
    ) {
    }

    /**
     * @param array<array-key, mixed> $form
     * @throws ExchangeRefused
     */
    public static function read(array $form, #[\SensitiveParameter] ?string $authorization): self
    {
        [$id, $secret] = self::credentials($form, $authorization);
        if (self::field($form, 'grant_type', 'grant_type', 'authorization_code') !== 'authorization_code') {
            throw ExchangeRefused::grantType();
        }
        $code = self::field($form, 'code', 'code');
        return new self($id, $secret, $code, self::field($form, 'return_to', 'redirect_uri'));
    }

    /**
     * @param array<array-key, mixed> $form
     * @return array{string, string}
     */
    private static function credentials(array $form, #[\SensitiveParameter] ?string $authorization): array
    {
        if ($authorization === null || $authorization === '') {
            return [self::field($form, 'client', 'client_id'), self::field($form, 'client_secret', 'secret')];
        }
        [$id, $secret] = self::basic($authorization);
        if (isset($form['client_secret']) || isset($form['secret'])) {
            throw ExchangeRefused::request('The client names itself in the header or in the form, not in both.');
        }
        if (self::field($form, 'client', 'client_id', $id) !== $id) {
            throw ExchangeRefused::request('The header and the form name different clients.');
        }
        return [$id, $secret];
    }

    /** @return array{string, string} both form-encoded in the header (RFC 6749, 2.3.1) */
    private static function basic(#[\SensitiveParameter] string $authorization): array
    {
        $encoded = preg_match('~\ABasic +([A-Za-z0-9+/]+={0,2})\z~i', $authorization, $found) === 1 ? $found[1] : '';
        $parts = explode(':', (string) base64_decode($encoded, true), 2);
        return count($parts) === 2 ? array_map(urldecode(...), $parts) : throw ExchangeRefused::client();
    }

    /** @param array<array-key, mixed> $form */
    private static function field(array $form, string $ours, string $openId, ?string $default = null): string
    {
        $values = array_values(array_intersect_key($form, [$ours => true, $openId => true]));
        $value = $values[0] ?? $default;
        $differing = array_filter($values, static fn (mixed $other): bool => $other !== $value);
        if (!is_string($value) || $value === '' || $differing !== []) {
            throw ExchangeRefused::request("'$openId' must be given, once.");
        }
        return $value;
    }
}
