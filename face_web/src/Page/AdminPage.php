<?php

/** What an administrator sees and does. Who may is the routes' to see to; nobody acts on their own account here. */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Response;
use FaceWeb\People\Person;
use FaceWeb\People\WrongState;
use FaceWeb\Services;
use FaceWeb\Visit;

use function FaceWeb\error_log;

final class AdminPage
{
    private const PEOPLE = 50;
    private const LINES = 100;
    private const INVITE_S = 7 * 86400;

    public function __construct(private readonly Services $services)
    {
    }

    public function people(Visit $visit): Response
    {
        $text = mb_substr($visit->request->query['q'] ?? '', 0, 100);
        $after = $visit->request->query['after'] ?? '';
        $people = $this->services->people();
        $found = $people->search($text, self::PEOPLE + 1, ctype_digit($after) ? (int) $after : null);
        $shown = array_slice($found, 0, self::PEOPLE);
        return $visit->page('admin/people', [
            'text' => $text,
            'people' => array_map($this->listed(...), $shown),
            'next' => count($found) > self::PEOPLE ? (string) end($shown)->id : null,
            'fresh' => $visit->session->fresh($this->services->config->web->freshLoginS),
            'count' => $people->count(),
            'registration' => $this->services->config->web->registration,
            'invite' => $visit->session->take('invite'),
        ]);
    }

    public function audit(Visit $visit): Response
    {
        $before = $visit->request->query['before'] ?? '';
        $lines = $this->services->audit()->recent(self::LINES, ctype_digit($before) ? (int) $before : null);
        $last = end($lines);
        return $visit->page('admin/audit', [
            'lines' => $lines,
            'next' => count($lines) === self::LINES && $last !== false ? (string) $last->line : null,
        ]);
    }

    public function status(Visit $visit): Response
    {
        $operator = $this->services->operator();
        $ready = $this->answers($this->services->faceServer()->ping(...));
        $status = $ready === null || $operator === null ? null : $this->answers($operator->status(...));
        return $visit->page('admin/status', [
            'ready' => $ready ?? false,
            'facts' => self::facts($status ?? []),
            'mayAsk' => $operator !== null,
            'count' => $this->services->people()->count(),
            'audit' => $this->services->audit()->verify(),
        ]);
    }

    public function invite(Visit $visit): Response
    {
        $code = $this->services->database()->transaction(function () use ($visit): string {
            $this->services->audit()->append('admin_invited', $visit->person()->id, $visit->source);
            return $this->services->invites()->create($visit->person()->id, self::INVITE_S);
        });
        $visit->session->set('invite', $code);
        return $visit->redirect('/admin');
    }

    /** @param array<string, string> $parameters */
    public function act(Visit $visit, array $parameters): Response
    {
        $id = $parameters['id'];
        $person = ctype_digit($id) ? $this->services->people()->byId((int) $id) : null;
        if ($person === null) {
            throw HttpError::notFound();
        }
        if ($person->id === $visit->person()->id) {
            return $visit->redirect('/admin', 'notice.not_yourself');
        }
        try {
            $later = !$this->done($parameters['action'], $person, $visit);
        } catch (WrongState) {
            return $visit->redirect('/admin', 'notice.wrong_state');
        }
        return $visit->redirect('/admin', $later ? 'notice.admin_later' : 'notice.admin_done');
    }

    /** False: what the daemon has of it goes later. */
    private function done(string $action, Person $person, Visit $visit): bool
    {
        $account = $this->services->account();
        [$source, $by] = [$visit->source, $visit->person()];
        match ($action) {
            'disable', 'enable' => $account->setEnabled($person, $action === 'enable', $source, $by),
            'face-on', 'face-off' => $account->setFaceOn($person, $action === 'face-on', $source, $by),
            'reset-face', 'delete' => null,
            default => throw HttpError::notFound(),
        };
        return match ($action) {
            'reset-face' => $account->removeFace($person, $source, $by),
            'delete' => $account->delete($person, $source, $by),
            default => true,
        };
    }

    private function listed(Person $person): Listed
    {
        return new Listed($person, $this->services->throttle()->isFaceOff($person->id));
    }

    /**
     * What the daemon told, level by level, for people: `index.state` and its value.
     *
     * @param array<array-key, mixed> $status
     * @return list<array{string, string}>
     */
    private static function facts(array $status, string $above = ''): array
    {
        $facts = [];
        foreach ($status as $name => $value) {
            if (is_array($value)) {
                $facts = [...$facts, ...self::facts($value, "$above$name.")];
            } elseif (is_scalar($value) && !in_array($name, ['ok', 'seq'], true)) {
                $facts[] = ["$above$name", is_bool($value) ? var_export($value, true) : (string) $value];
            }
        }
        return $facts;
    }

    /**
     * @template T
     * @param \Closure(): T $question
     * @return T|null null: the daemon does not answer
     */
    private function answers(\Closure $question): mixed
    {
        try {
            return $question();
        } catch (Refused | Unreachable $error) {
            error_log('status: ' . $error->getMessage());
            return null;
        }
    }
}
