<?php

/** No answer that can be trusted came from the daemon: it is absent, late, gone, or speaks something else. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Unreachable extends \RuntimeException
{
    /** Nothing listens there, or it may not be connected to. */
    public static function absent(string $where, string $why): self
    {
        return new self("the daemon at {$where} cannot be reached: {$why}");
    }

    public static function silent(string $where, float $timeoutS): self
    {
        return new self("the daemon at {$where} did not answer within {$timeoutS} s");
    }

    public static function closed(string $where): self
    {
        return new self("the daemon at {$where} closed the connection before it had answered");
    }

    public static function garbled(string $where, string $why): self
    {
        return new self("what answers at {$where} does not speak this protocol: {$why}");
    }

    /** It answers, but has not shown that it is the daemon; its operator or the site's must act. */
    public static function untrusted(string $where, string $why): self
    {
        return new self("the daemon at {$where} is not trusted: {$why}");
    }

    public static function withoutTrust(string $path): self
    {
        return new self("[server] tls_ca = {$path} cannot be read: copy the daemon's certificate there and let the web "
            . 'server read it');
    }

    public static function withoutToken(string $path): self
    {
        return new self("the token file {$path} cannot be read, or holds no token: start the daemon once, which makes "
            . 'it, and let the web server read it');
    }
}
