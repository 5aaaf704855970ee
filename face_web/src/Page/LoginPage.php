<?php

/**
 * Logging in, by face and by password, for this site or on the way back to another. Who gets in is decided in Login;
 * here it is put into the session.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Exchange\CodeRefused;
use FaceWeb\Exchange\Handover;
use FaceWeb\Exchange\RequestRefused;
use FaceWeb\Http\Response;
use FaceWeb\Login;
use FaceWeb\Outcome;
use FaceWeb\OutcomeKind;
use FaceWeb\People\Person;
use FaceWeb\Services;
use FaceWeb\Visit;

final class LoginPage
{
    /** A face waits this long for its password. */
    private const FACTOR_S = 300;

    public function __construct(private readonly Services $services)
    {
    }

    public function show(Visit $visit): Response
    {
        if (Handover::asked($visit->request->query)) {
            try {
                $this->services->handover()->begin($visit->session, $visit->request->query);
                // The state is the other site's secret: it stays neither in the address nor in the history.
                return Response::redirect('/login');
            } catch (RequestRefused $refused) {
                return $visit->page('login_refused', ['reason' => $refused->reason], 400);
            }
        }
        return $visit->person === null ? $this->form($visit) : $this->loggedIn($visit, $visit->person);
    }

    /** Back to the site that asks, where the login is fresh enough for it; else a new login is what it waits for. */
    private function loggedIn(Visit $visit, Person $person): Response
    {
        $handover = $this->services->handover();
        try {
            $address = $handover->resume($visit->session, $person, $visit->source);
        } catch (CodeRefused) {
            $address = null;
        }
        return match (true) {
            $address !== null => Response::redirect($address),
            $handover->pending($visit->session) !== null => $this->form($visit),
            default => Response::redirect('/account'),
        };
    }

    public function face(Visit $visit): Response
    {
        $burst = new Burst($this->services, $visit, Burst::LOGIN);
        $isAsked = $this->services->liveness()->isOn();
        $challenge = $isAsked ? $burst->challenge() : null;
        if ($isAsked && $challenge === null) {
            return $burst->nonceGone();
        }
        $frames = $burst->frames($challenge);
        if (!$burst->hasNonce()) {
            return $burst->nonceGone();
        }
        if (!$frames->areReadable()) {
            return $burst->unreadable($frames);
        }
        $email = $visit->request->field('email');
        if (trim($email) === '' && $this->mode() !== Login::FACE) {
            return $burst->answer(Outcome::form(['email' => 'empty']), '');
        }
        $areNew = fn (): bool => $burst->isNew($frames);
        $login = $this->services->login();
        $outcome = $login->byFace($visit->source, $email, $frames->bytes, $areNew, $challenge?->answer);
        if ($challenge !== null && $outcome->isDecided()) {
            $this->services->throttle()->challengeDone($visit->source, $challenge->at);
        }
        $isHidden = in_array($outcome->kind, [OutcomeKind::Done, OutcomeKind::Refused], true);
        return $this->mode() === Login::FACE_THEN_PASSWORD && $isHidden
            ? $this->factor($visit, $burst, $outcome, $email)
            : $burst->answer($outcome, $outcome->isDone() ? $this->letIn($visit, $outcome, ['face']) : '', $challenge);
    }

    public function password(Visit $visit): Response
    {
        $request = $visit->request;
        $outcome = $this->services->login()->byPassword(
            $visit->source,
            $request->field('email'),
            $request->field('password'),
        );
        return $outcome->isDone()
            ? Response::redirect($this->letIn($visit, $outcome, ['pwd']))
            : $this->form($visit, $outcome, $request->field('email'));
    }

    public function showSecond(Visit $visit): Response
    {
        return $this->pending($visit) === null
            ? $visit->redirect('/login')
            : $visit->page('login_second')->allowingForms($this->services->handover()->formAction($visit->session));
    }

    public function second(Visit $visit): Response
    {
        $pending = $this->pending($visit);
        if ($pending === null) {
            return $visit->redirect('/login', 'notice.face_again');
        }
        $visit->session->remove('factor');
        $outcome = $this->services->login()->bySecond(
            $visit->source,
            $pending['email'],
            $visit->request->field('password'),
            $pending['user_id'],
            $pending['source'],
            $pending['at'],
        );
        return $outcome->isDone()
            ? Response::redirect($this->letIn($visit, $outcome, ['face', 'pwd']))
            : $this->form($visit, $outcome, $pending['email'], 'login.refused_both');
    }

    public function logout(Visit $visit): Response
    {
        $visit->session->end(); // first: also where nothing can be logged
        if ($visit->person !== null) {
            $this->services->audit()->append('logout', $visit->person->id, $visit->source);
        }
        return $visit->redirect('/', 'notice.logged_out');
    }

    private function form(
        Visit $visit,
        ?Outcome $outcome = null,
        string $email = '',
        string $refusal = 'login.refused_password',
    ): Response {
        $web = $this->services->config->web;
        $error = match ($outcome?->kind) {
            null => null,
            OutcomeKind::Wait => $visit->text('capture.wait', ['seconds' => $outcome->retryAfterS]),
            default => $visit->text($refusal),
        };
        $response = $visit->page('login', [
            'camera' => true,
            'mode' => $web->loginMode,
            'frames' => $web->burstFrames,
            'steps' => in_array($web->liveness, ['active', 'both'], true),
            'flash' => $this->services->config->mayFlash,
            'email' => $email,
            'error' => $error,
            'waiting' => $this->services->handover()->pending($visit->session),
        ], match ($outcome?->kind) {
            null => 200,
            OutcomeKind::Wait => 429,
            default => 422,
        });
        if ($outcome?->kind === OutcomeKind::Wait) {
            $response = $response->with('Retry-After', (string) $outcome->retryAfterS);
        }
        return $response->allowingForms($this->services->handover()->formAction($visit->session));
    }

    /**
     * Whether the face was the claimed one shows only after the password, in the answer to both: else this would tell
     * faces that are good enough from those that are not. All else, such as pictures of bad quality, is told at once.
     */
    private function factor(Visit $visit, Burst $burst, Outcome $outcome, string $email): Response
    {
        $visit->session->set('factor', [
            'user_id' => $outcome->person?->id,
            'email' => substr($email, 0, 320),
            'source' => $visit->source,
            'at' => $this->services->clock->now(),
        ]);
        return $burst->answer(Outcome::done(), '/login/second');
    }

    /** @return array{user_id: ?int, email: string, source: string, at: int}|null */
    private function pending(Visit $visit): ?array
    {
        $factor = $visit->session->get('factor');
        $isFresh = is_array($factor) && $this->services->clock->now() - $factor['at'] < self::FACTOR_S;
        return $isFresh && $this->mode() === Login::FACE_THEN_PASSWORD ? $factor : null;
    }

    /**
     * @param list<string> $amr
     * @return string where to go now
     */
    private function letIn(Visit $visit, Outcome $outcome, array $amr): string
    {
        $person = $outcome->person ?? throw new \LogicException('a yes without a person');
        $this->services->audit()->append('login', $person->id, $visit->source, ['by' => implode('+', $amr)]);
        $visit->session->remove('factor');
        $visit->session->logIn($person, $amr);
        return $this->onwards($visit, $person);
    }

    private function onwards(Visit $visit, Person $person): string
    {
        $session = $visit->session;
        try {
            $address = $this->services->handover()->finish(
                $session,
                $person,
                $session->amr(),
                $session->authTime(),
                $visit->source,
            );
        } catch (CodeRefused) {
            return '/account';
        }
        return $address ?? '/account';
    }

    private function mode(): string
    {
        return $this->services->config->web->loginMode;
    }
}
