<?php

/** The password once more, before something of an account is changed. */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Http\Response;
use FaceWeb\Outcome;
use FaceWeb\OutcomeKind;
use FaceWeb\Services;
use FaceWeb\Visit;

final class ConfirmPage
{
    public function __construct(private readonly Services $services)
    {
    }

    public function show(Visit $visit): Response
    {
        return $this->form($visit, $visit->request->query['next'] ?? '', null);
    }

    public function confirm(Visit $visit): Response
    {
        $outcome = $this->services->login()->confirms(
            $visit->source,
            $visit->person(),
            $visit->request->field('password'),
        );
        $next = $visit->request->field('next');
        if (!$outcome->isDone() || $outcome->person === null) {
            return $this->form($visit, $next, $outcome);
        }
        $this->services->audit()->append('confirmed', $outcome->person->id, $visit->source);
        $visit->session->confirm($outcome->person);
        return Response::redirect(self::known($next) === 'admin' ? '/admin' : '/account');
    }

    private function form(Visit $visit, string $next, ?Outcome $outcome): Response
    {
        $error = match ($outcome?->kind) {
            null => null,
            OutcomeKind::Wait => $visit->text('capture.wait', ['seconds' => $outcome->retryAfterS]),
            default => $visit->text('confirm.refused'),
        };
        return $visit->page('confirm', ['next' => self::known($next), 'error' => $error], $error === null ? 200 : 422);
    }

    /** Never an address: only these two names lead on. */
    private static function known(string $next): string
    {
        return $next === 'admin' ? 'admin' : 'account';
    }
}
