<?php

/** The life of an account. Only an active one logs in. */

declare(strict_types=1);

namespace FaceWeb\People;

enum Status: string
{
    case Pending = 'pending';
    case Active = 'active';
    case Disabled = 'disabled';
    case Deleting = 'deleting';
}
