<?php

/**
 * The headers that every answer carries, errors and static files included.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class SecurityHeaders
{
    /** same-origin, not no-referrer: with that, browsers send `Origin: null` with our own forms. */
    private const ALWAYS = [
        'X-Content-Type-Options' => 'nosniff',
        'X-Frame-Options' => 'DENY',
        'Referrer-Policy' => 'same-origin',
        'Permissions-Policy' => 'camera=(self), microphone=(), geolocation=(), payment=(), usb=()',
        'Cross-Origin-Opener-Policy' => 'same-origin',
        'Cross-Origin-Resource-Policy' => 'same-origin',
    ];
    private const TWO_YEARS_S = 63072000;

    private function __construct(private readonly bool $https)
    {
    }

    public static function for(string $baseUrl): self
    {
        return new self(str_starts_with($baseUrl, 'https://'));
    }

    public static function plain(): self
    {
        return new self(false);
    }

    public function on(Response $response): Response
    {
        $headers = self::ALWAYS + ['Content-Security-Policy' => self::policy($response->formAction)];
        if ($this->https) {
            $headers['Strict-Transport-Security'] = 'max-age=' . self::TWO_YEARS_S;
        }
        $headers += ['Cache-Control' => 'no-store'];
        return new Response($response->status, $response->headers + $headers, $response->body);
    }

    /** 'wasm-unsafe-eval' lets the site's own scripts run WebAssembly, as the face finder does; no text becomes script. */
    private static function policy(?string $formAction): string
    {
        return "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
            . "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'"
            . ($formAction === null ? '' : " $formAction")
            . "; base-uri 'none'; frame-ancestors 'none'";
    }
}
