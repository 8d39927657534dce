import { equal } from "node:assert/strict";
import { DescriptorQuota } from "./descriptor_quota.ts";

const users = {
  uid: 0,
  tasks: 0,
  current: () => users.uid,
  tasksOf: (uid: number) => uid === 5 ? users.tasks : 0,
};

/** Takes all that `uid` can have: how many. */
function takeAll(quota: DescriptorQuota, uid: number): number {
  users.uid = uid;
  let count = 0;
  for (; quota.hasRoom; count++) quota.take();
  return count;
}

Deno.test("who takes all he can get leaves some to the next, and so does that one", () => {
  const quota = new DescriptorQuota(6400, 2, users);
  equal(takeAll(quota, 1000), 5600);
  equal(takeAll(quota, 0), 700);
  equal(takeAll(quota, 1001), 88);
  // Others have come since: of what he gives back he gets his part of what they leave.
  for (let i = 0; i < 1000; i++) quota.give(1000);
  equal(takeAll(quota, 1000), 311);
});

Deno.test("processes count, and the kernel itself is never refused", () => {
  const quota = new DescriptorQuota(800, 2, users);
  users.tasks = 100;
  equal(takeAll(quota, 1000), 525);
  equal(takeAll(quota, 5), 41);
  users.uid = -1;
  equal(quota.hasRoom, true);
  users.tasks = 0;
});
