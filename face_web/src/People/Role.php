<?php

/** What an account may do. */

declare(strict_types=1);

namespace FaceWeb\People;

enum Role: string
{
    case Person = 'person';
    case Admin = 'admin';
}
