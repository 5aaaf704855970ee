<?php

/**
 * What a site asks of the login: which client, where to go back to, and its state. An object of this class has been
 * checked against the registered clients; parameters have our names or OpenID Connect's.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class AuthorizationRequest
{
    /** A state that can be guessed guards nothing. Every library in use makes longer ones. */
    public const MIN_STATE = 16;
    public const MAX_STATE = 512;

    private function __construct(
        public readonly Client $client,
        public readonly string $returnTo,
        public readonly string $state,
    ) {
    }

    /**
     * @param array<array-key, mixed> $query
     * @throws RequestRefused
     */
    public static function read(array $query, Clients $clients): self
    {
        $id = self::either($query, 'client', 'client_id');
        $returnTo = self::either($query, 'return_to', 'redirect_uri');
        $client = $id === '' ? null : $clients->find($id);
        if ($client === null) {
            throw RequestRefused::unknownClient();
        }
        if (!$client->mayReturnTo($returnTo)) {
            throw RequestRefused::unregistered();
        }
        if (($query['response_type'] ?? 'code') !== 'code') {
            throw RequestRefused::responseType();
        }
        return new self($client, $returnTo, self::state($query['state'] ?? null));
    }

    /** @param array<array-key, mixed> $query */
    private static function either(array $query, string $ours, string $openId): string
    {
        $values = array_values(array_intersect_key($query, [$ours => true, $openId => true]));
        foreach ($values as $value) {
            if (!is_string($value) || $value !== $values[0]) {
                throw RequestRefused::malformed($ours);
            }
        }
        return $values[0] ?? '';
    }

    private static function state(mixed $state): string
    {
        $shape = '/\A[\x20-\x7E]{' . self::MIN_STATE . ',' . self::MAX_STATE . '}\z/';
        if (!is_string($state) || preg_match($shape, $state) !== 1) {
            throw RequestRefused::state();
        }
        return $state;
    }
}
