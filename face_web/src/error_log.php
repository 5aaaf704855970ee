<?php

/** What `error_log` means in this namespace: PHP's own, by way of Log. Elsewhere: `use function FaceWeb\error_log;`. */

declare(strict_types=1);

namespace FaceWeb;

function error_log(string $message): bool
{
    return Log::write($message);
}
