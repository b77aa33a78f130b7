"""The demonstration: real servers, real rules through their whole life, real facts."""
