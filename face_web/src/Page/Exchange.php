<?php

/**
 * POST /exchange, asked by a site's server: no cookie is read or set, no session begins, no CSRF token is wanted. Turns
 * a request into an answer in OAuth's form; who and what is right is the endpoint's to say.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Exchange\Endpoint;
use FaceWeb\Exchange\ExchangeRefused;
use FaceWeb\Exchange\ExchangeRequest;
use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\Security\Sources;

use function FaceWeb\error_log;

final class Exchange
{
    public function __construct(private readonly Endpoint $endpoint, private readonly Sources $sources)
    {
    }

    public function answer(Request $request): Response
    {
        try {
            $asked = ExchangeRequest::read($request->form, $request->header('authorization'));
            $source = $this->sources->of($request->remoteAddress, $request->header('x-forwarded-for'));
            $answer = Response::json($this->endpoint->exchange($asked, $source)->jsonSerialize());
        } catch (ExchangeRefused $refused) {
            $answer = self::refusal($refused);
        } catch (\Throwable $fault) {
            error_log('exchange: ' . $fault::class . ' in ' . basename($fault->getFile()) . ": {$fault->getMessage()}");
            $answer = Response::json(['error' => 'server_error'], 500);
        }
        return $answer->with('Cache-Control', 'no-store');
    }

    private static function refusal(ExchangeRefused $refused): Response
    {
        $said = ['error' => $refused->error, 'error_description' => $refused->getMessage()];
        $answer = Response::json($said, $refused->status);
        if ($refused->status === 401) {
            $answer = $answer->with('WWW-Authenticate', 'Basic realm="exchange", charset="UTF-8"');
        }
        return $refused->retryAfterS === null ? $answer : $answer->with('Retry-After', (string) $refused->retryAfterS);
    }
}
