<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\People\FaceState;
use FaceWeb\People\Role;
use FaceWeb\People\Status;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class AccountPageTest extends SiteCase
{
    public function testAFaceAloneChangesNothing(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->face('ada');
        foreach (['face/remove', 'password', 'email', 'delete'] as $action) {
            self::assertSame('/confirm?next=account', $this->post("/account/$action")->headers['Location']);
        }
        self::assertSame('confirm', $this->captures('ada')['code']);
        self::assertSame('/confirm?next=account', $this->get('/account/captures')->headers['Location']);
        self::assertStringContainsString('href="/confirm"', $this->get('/account')->body);
        self::assertEquals($ada, $this->people()->byId($ada->id));
    }

    public function testThePasswordOpensTheChangesForFiveMinutes(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $wrong = $this->post('/confirm', ['password' => 'not the password']);
        self::assertSame(422, $wrong->status);
        $before = $this->cookie;
        $right = $this->post('/confirm', ['password' => self::PASSWORD, 'next' => 'https://evil.example/']);
        self::assertSame('/account', $right->headers['Location']);
        self::assertNotSame($before, $this->cookie);
        self::assertStringContainsString('action="/account/delete"', $this->get('/account')->body);
        self::assertStringContainsString('data-purpose="captures"', $this->get('/account/captures')->body);
        $this->clock->advance(300);
        self::assertStringNotContainsString('action="/account/delete"', $this->get('/account')->body);
    }

    public function testRemovingTheFaceWithdrawsTheConsentAndALaterOneHasANewSubject(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertSame('/account', $this->post('/account/face/remove')->headers['Location']);
        $without = $this->people()->byId($ada->id);
        self::assertNull($without?->face);
        self::assertNull($without->consentAt);
        self::assertSame([], $this->daemon->enrolled);
        self::assertSame('form', $this->captures('ada')['code'], 'a new face needs a new consent');
        self::assertTrue($this->captures('ada', ['consent' => '1'])['ok']);
        $again = $this->people()->byId($ada->id);
        self::assertNotSame($ada->face?->subject, $again?->face?->subject);
        self::assertSame($this->clock->now(), $again?->consentAt);
        self::assertSame(['login', 'face_removed', 'face_added'], $this->events());
    }

    public function testAFaceIsOutOfUseAtOnceEvenWhileTheDaemonIsAway(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        $this->post('/account/face/remove');
        self::assertStringContainsString('as soon as the recognition', $this->get('/account')->body);
        self::assertSame(FaceState::Removing, $this->people()->byId($ada->id)?->face?->state);
        self::assertSame('refused', $this->face('ada')['code']);
        $this->daemon->failBefore = [];
        $this->clock->advance(600);
        self::assertSame(1, $this->services->reconciliation()->run());
        self::assertSame([], $this->daemon->enrolled);
        self::assertNull($this->people()->byId($ada->id)?->face);
    }

    public function testCapturesOfSomebodyElseAreNotAdded(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertTrue($this->captures('ada')['ok']);
        self::assertCount(6, $this->people()->captures($ada->id));
        self::assertSame('refused', $this->captures('eve')['code']);
        self::assertCount(6, $this->people()->captures($ada->id));
    }

    /** @dataProvider faults */
    public function testANewFaceThatFailsHalfWayLeavesNone(string $when): void
    {
        $ada = $this->person('ada@example.org');
        $this->logInByPassword('ada@example.org');
        $this->daemon->{$when}['enrol'] = ScriptedFaceServer::away();
        self::assertSame('unavailable', $this->captures('ada', ['consent' => '1'])['code']);
        self::assertNull($this->people()->byId($ada->id)?->face);
        self::assertNull($this->people()->byId($ada->id)?->consentAt);
        self::assertSame([], $this->daemon->enrolled);
    }

    /** @return list<array{string}> */
    public function faults(): array
    {
        return [['failBefore'], ['failAfter']];
    }

    public function testANewPasswordEndsAllOtherSessions(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $other = $this->cookie;
        $this->newBrowser();
        $this->logInByPassword('ada@example.org');
        $this->clock->advance(1);
        $form = ['password' => 'a better sentence', 'repeat' => 'another sentence'];
        self::assertSame(422, $this->post('/account/password', $form)->status);
        $this->post('/account/password', ['repeat' => 'a better sentence'] + $form);
        self::assertTrue($this->isIn());
        $this->cookie = $other;
        self::assertFalse($this->isIn());
        self::assertSame(422, $this->logInByPassword('ada@example.org')->status);
    }

    public function testTheEmailOfAnotherAccountIsNotToldApartFromAnUnusableOne(): void
    {
        $this->person('bob@example.org');
        $ada = $this->person('ada@example.org');
        $this->logInByPassword('ada@example.org');
        $taken = $this->post('/account/email', ['email' => 'BOB@example.org']);
        self::assertStringContainsString('This email cannot be used here.', $taken->body);
        $this->post('/account/email', ['email' => 'Countess@Example.org']);
        self::assertSame('countess@example.org', $this->people()->byId($ada->id)?->email);
    }

    public function testDeletingNeedsTheBoxAndTakesTheFaceAlong(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertSame(422, $this->post('/account/delete')->status);
        self::assertSame('/', $this->post('/account/delete', ['sure' => '1'])->headers['Location']);
        self::assertNull($this->people()->byId($ada->id));
        self::assertSame([], $this->daemon->enrolled);
        self::assertFalse($this->isIn());
    }

    public function testADeletionThatTheDaemonMissesIsFinishedLater(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        $this->post('/account/delete', ['sure' => '1']);
        self::assertSame(Status::Deleting, $this->people()->byId($ada->id)?->status);
        self::assertSame(422, $this->logInByPassword('ada@example.org')->status);
        $this->daemon->failBefore = [];
        self::assertSame(1, $this->services->reconciliation()->run(abandonedOnly: false));
        self::assertNull($this->people()->byId($ada->id));
        self::assertSame([], $this->daemon->enrolled);
    }

    public function testTheLastAdministratorStays(): void
    {
        $this->person('boss@example.org', role: Role::Admin);
        $this->logInByPassword('boss@example.org');
        $answer = $this->post('/account/delete', ['sure' => '1']);
        self::assertStringContainsString('You are the last administrator.', $answer->body);
        self::assertTrue($this->isIn());
    }

    public function testWhatPeopleTypeIsShownAndNeverRun(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->people()->rename($ada->id, '<script>alert(1)</script>"\'&');
        $this->logInByPassword('ada@example.org');
        $body = $this->get('/account')->body;
        self::assertStringNotContainsString('<script>alert', $body);
        self::assertStringContainsString('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&apos;&amp;', $body);
    }

    public function testASessionEndsAfterItsIdleTimeAndAtTheLatestAfterItsAbsoluteTime(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $this->clock->advance(899);
        self::assertTrue($this->isIn());
        $this->clock->advance(900);
        self::assertFalse($this->isIn());
        $this->face('ada');
        foreach (range(1, 47) as $ignored) {
            $this->clock->advance(600);
            self::assertTrue($this->isIn());
        }
        $this->clock->advance(600);
        self::assertFalse($this->isIn());
    }

    /**
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    private function captures(string $person, array $form = []): array
    {
        $form += ['nonce' => $this->nonce('captures')];
        $pictures = ['frames' => ScriptedFaceServer::burst($person)];
        return $this->json($this->post('/account/captures', $form, $pictures));
    }
}
