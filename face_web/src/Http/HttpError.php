<?php

/**
 * A request that is answered by an error page. The message is for the log and for tests; what people read is the
 * language file's `error.<key>`.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class HttpError extends \RuntimeException
{
    /** @param array<string, string> $headers */
    private function __construct(
        public readonly int $status,
        public readonly string $key,
        string $message,
        public readonly array $headers = [],
    ) {
        parent::__construct($message);
    }

    public static function badRequest(string $why): self
    {
        return new self(400, 'bad_request', $why);
    }

    public static function notFound(): self
    {
        return new self(404, 'not_found', 'no such page');
    }

    /** @param list<string> $allowed */
    public static function method(array $allowed): self
    {
        return new self(405, 'method', 'this address takes ' . implode(', ', $allowed), [
            'Allow' => implode(', ', $allowed),
        ]);
    }

    public static function forgery(string $why): self
    {
        return new self(403, 'forgery', $why);
    }

    public static function tooLarge(): self
    {
        return new self(413, 'too_large', 'more bytes than allowed');
    }

    public static function tooMany(int $retryAfterS): self
    {
        return new self(429, 'too_many', 'over a limit', ['Retry-After' => (string) max(1, $retryAfterS)]);
    }

    /** Something that nobody thought of; the log has it under the request's id. */
    public static function incident(): self
    {
        return new self(500, 'internal', 'incident');
    }

    public static function unavailable(): self
    {
        return new self(503, 'unavailable', 'the daemon did not answer', ['Retry-After' => '10']);
    }
}
