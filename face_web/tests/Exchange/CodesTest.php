<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\AuthorizationRequest;
use FaceWeb\Exchange\Codes;
use FaceWeb\Exchange\CodeRefused;
use FaceWeb\People\Status;

final class CodesTest extends ExchangeCase
{
    public function testACodeTellsItsOwnSiteWhoLoggedInHowAndWhen(): void
    {
        $identity = $this->codes->exchange($this->client(), $this->code(), self::RETURN_TO, self::SOURCE);
        self::assertMatchesRegularExpression('/\A[0-9a-f]{64}\z/', $identity->subject);
        self::assertSame('anna@example.org', $identity->email);
        self::assertSame(['face'], $identity->amr);
        self::assertSame($this->clock->now() - 5, $identity->authTime);
        self::assertSame(['code_issued', 'code_exchanged'], $this->events());
    }

    public function testACodeWorksOnceAndItsReuseIsInTheAudit(): void
    {
        $code = $this->code();
        $this->codes->exchange($this->client(), $code, self::RETURN_TO, self::SOURCE);
        self::assertSame('used', $this->refusal($code));
        $line = $this->database->row("SELECT user_id, detail FROM audit WHERE event = 'code_refused'");
        self::assertSame($this->person->id, (int) $line['user_id']);
        self::assertStringContainsString('used', $line['detail']);
        self::assertStringNotContainsString($code, json_encode($this->database->rows('SELECT * FROM audit')));
    }

    public function testTheCodeItselfIsNotKept(): void
    {
        $code = $this->code();
        self::assertStringNotContainsString($code, json_encode($this->database->rows('SELECT * FROM code')));
        self::assertSame(32, strlen(base64_decode(strtr($code, '-_', '+/'))));
    }

    public function testACodeIsGoodForItsLastSecondAndNotLonger(): void
    {
        [$inTime, $late] = [$this->code(), $this->code()];
        $this->clock->advance(Codes::LIFETIME_S - 1);
        $this->codes->exchange($this->client(), $inTime, self::RETURN_TO, self::SOURCE);
        $this->clock->advance(1);
        self::assertSame('expired', $this->refusal($late));
        self::assertSame('used', $this->refusal($late));
    }

    public function testOldCodesAreSweptOut(): void
    {
        $code = $this->code();
        $this->clock->advance(86400);
        $this->code();
        self::assertCount(1, $this->database->rows('SELECT * FROM code'));
        self::assertSame('unknown', $this->refusal($code));
    }

    public function testAnotherReturnAddressUsesTheCodeUp(): void
    {
        $code = $this->code();
        self::assertSame('return_address', $this->refusal($code, self::OTHER));
        self::assertSame('used', $this->refusal($code));
    }

    public function testAnotherClientCannotUseTheCodeNorSpoilIt(): void
    {
        $code = $this->code();
        $thief = $this->clients->find($this->clients->add('Thief', [self::RETURN_TO])->id);
        try {
            $this->codes->exchange($thief, $code, self::RETURN_TO, self::SOURCE);
            self::fail('another client was answered');
        } catch (CodeRefused $refused) {
            self::assertSame('unknown', $refused->reason);
        }
        self::assertNotNull($this->codes->exchange($this->client(), $code, self::RETURN_TO, self::SOURCE));
    }

    public function testNothingButTheWholeCodeIsACode(): void
    {
        $code = $this->code();
        foreach (['', ' ', substr($code, 0, -1), "$code ", hash('sha256', $code), "' OR 1=1 --"] as $wrong) {
            self::assertSame('unknown', $this->refusal($wrong));
        }
    }

    public function testSomebodyDisabledOrDeletedInBetweenIsNotHandedOn(): void
    {
        $code = $this->code();
        $this->people->setStatus($this->person->id, Status::Disabled);
        self::assertSame('person_not_active', $this->refusal($code));
        $this->people->setStatus($this->person->id, Status::Active);
        $code = $this->code();
        $this->people->markDeleting($this->person->id);
        $this->people->delete($this->person->id);
        self::assertSame('person_not_active', $this->refusal($code));
    }

    public function testNoCodeForSomebodyNotActive(): void
    {
        $this->people->setStatus($this->person->id, Status::Disabled);
        $this->person = $this->people->byId($this->person->id);
        $this->expectException(CodeRefused::class);
        $this->code();
    }

    public function testNoCodeForALoginWithoutAMethod(): void
    {
        $this->expectException(CodeRefused::class);
        $this->code(['otp']);
    }

    public function testFaceAndPasswordTogetherAreSeveralFactors(): void
    {
        foreach ([[['pwd'], ['pwd']], [['pwd', 'face'], ['face', 'pwd', 'mfa']], [['mfa', 'pwd'], ['pwd']]] as $case) {
            $code = $this->code($case[0]);
            $identity = $this->codes->exchange($this->client(), $code, self::RETURN_TO, self::SOURCE);
            self::assertSame($case[1], $identity->amr);
        }
    }

    public function testTheSubjectStaysForASiteAndDiffersBetweenSitesAndPeople(): void
    {
        $first = $this->subject();
        $this->people->setEmail($this->person->id, 'anna@new.example');
        $this->people->startFace($this->person->id);
        self::assertSame($first, $this->subject());
        $former = $this->new;
        $this->new = $this->clients->add('Other', [self::RETURN_TO]);
        self::assertNotSame($first, $this->subject());
        $this->new = $former;
        $this->person = $this->register('bert@example.org');
        self::assertNotSame($first, $this->subject());
    }

    public function testAUserIdGivenTwiceIsNotTheSameSubject(): void
    {
        $first = $this->subject();
        $this->database->execute('UPDATE face_user SET created_at = created_at + 1');
        $this->person = $this->people->byId($this->person->id);
        self::assertNotSame($first, $this->subject());
    }

    public function testADamagedKeyOfTheSubjectsIsNotReplaced(): void
    {
        $this->database->insertNew('setting', ['name' => 'pairwise_key', 'value' => 'zz']);
        $this->expectException(\UnexpectedValueException::class);
        $this->subject();
    }

    public function testOfManyProcessesWithOneCodeExactlyOneIsAnswered(): void
    {
        for ($round = 0; $round < 5; $round++) {
            $said = array_count_values($this->race($this->code()));
            self::assertEquals(['anna@example.org' => 1, 'used' => 5], $said);
        }
    }

    private function subject(): string
    {
        return $this->codes->exchange($this->client(), $this->code(), self::RETURN_TO, self::SOURCE)->subject;
    }

    private function refusal(string $code, string $returnTo = self::RETURN_TO): string
    {
        try {
            $this->codes->exchange($this->client(), $code, $returnTo, self::SOURCE);
        } catch (CodeRefused $refused) {
            return $refused->reason;
        }
        self::fail('the code was accepted');
    }
}
