<?php

/**
 * Does this POST come from one of our own pages? A token of the session, and what the browser itself says about the
 * origin where it says anything. Knows no page.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Http\HttpError;
use FaceWeb\Http\Request;

final class Csrf
{
    public function __construct(private readonly Session $session, private readonly string $baseUrl)
    {
    }

    public function token(): string
    {
        $token = $this->session->get('csrf');
        if (!is_string($token)) {
            $token = bin2hex(random_bytes(32));
            $this->session->set('csrf', $token);
        }
        return $token;
    }

    /** @throws HttpError */
    public function check(Request $request): void
    {
        $origin = $request->header('origin');
        if ($origin !== null && $origin !== rtrim($this->baseUrl, '/')) {
            throw HttpError::forgery('the request comes from another origin');
        }
        if (!in_array($request->header('sec-fetch-site') ?? 'same-origin', ['same-origin', 'none'], true)) {
            throw HttpError::forgery('the browser says that another site sent the request');
        }
        $kept = $this->session->get('csrf');
        $given = $request->header('x-csrf-token') ?? $request->field('_csrf');
        if (!is_string($kept) || $given === '' || !hash_equals($kept, $given)) {
            throw HttpError::forgery('the token is missing or of another session');
        }
    }
}
