<?php

/**
 * Where a session's values lie. PHP's own sessions in the site, an array in tests.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

interface SessionStore
{
    public function id(): string;

    public function read(string $key): mixed;

    public function write(string $key, mixed $value): void;

    public function delete(string $key): void;

    /** A new id for the same values; the old id is void. */
    public function regenerate(): void;

    /** All values gone and a new id. */
    public function clear(): void;

    /** Nothing more will be written in this request; others of the session need not wait for it. */
    public function release(): void;
}
