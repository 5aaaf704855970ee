<?php

/** The first page, and the answer for whoever watches that the site runs. */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\Services;
use FaceWeb\Visit;

use function FaceWeb\error_log;

final class HomePage
{
    public function __construct(private readonly Services $services)
    {
    }

    public function home(Visit $visit): Response
    {
        return $visit->page('home');
    }

    /** Says only whether logins work, nothing about why not. */
    public function health(Request $request): Response
    {
        try {
            $this->services->database()->row('SELECT 1 AS one');
            $ready = $this->services->faceServer()->ping();
        } catch (\Throwable $error) {
            error_log('healthz: ' . $error->getMessage());
            $ready = false;
        }
        return Response::json(['ok' => $ready], $ready ? 200 : 503);
    }
}
