<?php

/** A person's own account. Every change comes here only with a password given within the last minutes (see Router). */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Audit\AuditLine;
use FaceWeb\Http\Response;
use FaceWeb\Outcome;
use FaceWeb\OutcomeKind;
use FaceWeb\Security\Attempt;
use FaceWeb\Services;
use FaceWeb\Visit;

final class AccountPage
{
    private const LAST_EVENTS = 20;
    private const LAST_LOGINS = 20;

    public function __construct(private readonly Services $services)
    {
    }

    public function show(Visit $visit): Response
    {
        return $this->page($visit);
    }

    /** A page of its own: the camera starts where somebody wants it to. */
    public function captures(Visit $visit): Response
    {
        return $visit->page('captures', ['camera' => true, 'frames' => $this->services->config->web->burstFrames]);
    }

    public function addCaptures(Visit $visit): Response
    {
        $burst = new Burst($this->services, $visit, Burst::CAPTURES);
        $pictures = $burst->pictures();
        if (!$burst->hasNonce()) {
            return $burst->nonceGone();
        }
        if ($visit->person()->face === null && $visit->request->field('consent') !== '1') {
            return $burst->answer(Outcome::form(['consent' => 'missing']), '');
        }
        if (!$pictures->areReadable()) {
            return $burst->unreadable($pictures);
        }
        $outcome = $burst->isNew($pictures) ? $this->limited($visit, $pictures->bytes) : Outcome::refused();
        if ($outcome->isDone()) {
            $visit->session->set('notice', $visit->text('notice.captures_added'));
        }
        return $burst->answer($outcome, '/account');
    }

    public function removeFace(Visit $visit): Response
    {
        $gone = $this->services->account()->removeFace($visit->person(), $visit->source);
        $this->stay($visit);
        return $visit->redirect('/account', $gone ? 'notice.face_removed' : 'notice.face_removed_later');
    }

    public function changePassword(Visit $visit): Response
    {
        $request = $visit->request;
        $fault = $request->field('password') === $request->field('repeat')
            ? $this->services->account()->changePassword($visit->person(), $request->field('password'), $visit->source)
            : 'repeat';
        if ($fault !== null) {
            return $this->page($visit, ['password' => $visit->text("field.password.$fault")]);
        }
        $this->stay($visit);
        return $visit->redirect('/account', 'notice.password_changed');
    }

    /** All sessions of the person have ended; this one, which has just given the password, goes on. */
    private function stay(Visit $visit): void
    {
        $visit->session->confirm($this->services->people()->byId($visit->person()->id) ?? $visit->person());
    }

    public function changeEmail(Visit $visit): Response
    {
        $email = $visit->request->field('email');
        // As seldom as registrations: the answer tells whether another account has this email.
        $throttle = $this->services->throttle();
        $attempt = Attempt::registration($visit->source);
        $verdict = $throttle->begin($attempt);
        if (!$verdict->allowed) {
            $wait = $visit->text('capture.wait', ['seconds' => $verdict->retryAfterS]);
            return $this->page($visit, ['email' => $wait], $email);
        }
        $throttle->failed($attempt);
        $fault = $this->services->account()->changeEmail($visit->person(), $email, $visit->source);
        return $fault === null
            ? $visit->redirect('/account', 'notice.email_changed')
            : $this->page($visit, ['email' => $visit->text("field.email.$fault")], $email);
    }

    public function delete(Visit $visit): Response
    {
        if ($visit->request->field('sure') !== '1') {
            return $this->page($visit, ['sure' => $visit->text('field.sure.missing')]);
        }
        if ($visit->person()->isAdmin() && $this->services->people()->countAdmins() < 2) {
            return $this->page($visit, ['sure' => $visit->text('field.sure.last_admin')]);
        }
        $gone = $this->services->account()->delete($visit->person(), $visit->source);
        $visit->session->end();
        return $visit->redirect('/', $gone ? 'notice.deleted' : 'notice.deleted_later');
    }

    /** @param list<string> $pictures */
    private function limited(Visit $visit, array $pictures): Outcome
    {
        $throttle = $this->services->throttle();
        $attempt = Attempt::registration($visit->source);
        $verdict = $throttle->begin($attempt);
        if (!$verdict->allowed) {
            return Outcome::wait($verdict->retryAfterS);
        }
        try {
            $outcome = $this->services->account()->addCaptures(
                $visit->person(),
                $pictures,
                RegisterPage::consentVersion($this->services->config),
                $visit->source,
            );
        } catch (\Throwable $error) {
            $throttle->failed($attempt);
            throw $error;
        }
        in_array($outcome->kind, [OutcomeKind::Quality, OutcomeKind::Unavailable], true)
            ? $throttle->refunded($attempt)
            : $throttle->failed($attempt);
        return $outcome;
    }

    /** @param array<string, string> $errors field -> sentence */
    private function page(Visit $visit, array $errors = [], ?string $email = null): Response
    {
        $person = $visit->person();
        $web = $this->services->config->web;
        $fresh = $visit->session->fresh($web->freshLoginS);
        return $visit->page('account', [
            'fresh' => $fresh,
            'captures' => $this->services->people()->captures($person->id),
            'faceState' => (new Listed($person, $this->services->throttle()->isFaceOff($person->id)))->faceState(),
            'events' => $this->events($visit),
            'errors' => $errors,
            'email' => $email ?? $person->email,
        ], $errors === [] ? 200 : 422);
    }

    /** @return list<array{at: int, what: string, source: string}> */
    private function events(Visit $visit): array
    {
        $audit = $this->services->audit();
        // The logins always: whoever has come in must not be able to push that line out by doing other things.
        $lines = [...$audit->ofUser($visit->person()->id, self::LAST_EVENTS),
            ...$audit->ofUser($visit->person()->id, self::LAST_LOGINS, 'login')];
        $lines = array_column($lines, null, 'line');
        krsort($lines);
        return array_map(static fn (AuditLine $line): array => [
            'at' => $line->at,
            'what' => self::named($line, $visit),
            'source' => $line->source,
        ], array_values($lines));
    }

    private static function named(AuditLine $line, Visit $visit): string
    {
        $by = $line->detail()['by'] ?? null;
        $keys = ["event.$line->event." . (is_string($by) ? $by : ''), "event.$line->event"];
        $known = array_values(array_filter($keys, $visit->language->has(...)));
        return $known === [] ? $line->event : $visit->text($known[0]);
    }
}
