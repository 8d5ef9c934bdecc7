import "../../examples/testing-hooks.test.ts"; // runs its tests
