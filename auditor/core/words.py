"""What the words of the tool mean, in one place: statuses, metrics, exit codes."""

WORDS: dict[str, str] = {
    "within": "The whole interval of the measurement lies at or below the limit of the scenario.",
    "exceeds": "The whole interval of the measurement lies above the limit of the scenario.",
    "inconclusive": "The interval reaches across the limit, or the sample is too small for the claim. "
    "The finding says how many more records are needed.",
    "not_applicable": "The attack does not fit this target or this adversary; the reason is printed.",
    "failed": "The attack could not finish; the reason is printed. Run again to retry.",
    "not_run": "The attack was planned but did not run, for example because the budget of time was used up.",
    "evidence_supports": "Evidence of this run speaks for the control, for the attacks run, on this sample.",
    "evidence_contradicts": "Evidence of this run speaks against the control.",
    "not_tested": "The run holds no evidence for the control.",
    "outside_reach": "No measurement can answer the control; people must.",
    "stale": "The evidence or the law pack is older than it may be.",
    "human_declared": "A person declared it; it is printed and not counted as evidence.",
    "tpr_at_fpr": "True-positive rate at a false-positive rate: of the records that were in the training data, the "
    "share that the attack names when at most the stated share of outside records is named by mistake. High is bad.",
    "auc": "Area under the ROC curve: the chance that a member scores higher than a non-member. 0.5 is guessing. "
    "An average over all people: it can look harmless while single people are exposed.",
    "advantage": "The largest true-positive rate minus false-positive rate over all thresholds. 0 is guessing.",
    "precision": "Of the records that the attack names, the share that really were members, at a stated prior.",
    "recovered_share": "Share of the attacked records that were rebuilt better than any look-alike from the population "
    "explains. The floor beside it is what guessing without the update reaches.",
    "exposed_members": "How many training records of the sample the attack names when at most the stated share of "
    "outside records is named by mistake. People are counted, because one is enough for concern.",
    "tpr_of_most_exposed_class": "The share of members named within the class where it is largest, at one threshold "
    "for all classes. The interval covers all classes together; classes of few members are held back.",
    "copy_agreement": "How often a copy learned from the model's answers names the class that the model names. The "
    "floor is a model learned from the same records without asking.",
    "property_closer": "Share of updates where the attack comes closer to the true share of records with a property "
    "than a guess from other records does. 0.5 is guessing.",
    "property_error": "Mean distance between the share of records with a property that was read off an update and the "
    "true one. Smaller is worse.",
    "epsilon_lower_bound": "What canaries show of epsilon from below, at 95 % confidence, beside the most that so many "
    "canaries could have shown. Above the accounted epsilon, settings and running code disagree.",
    "label_accuracy": "Share of the labels behind an update that the attack names correctly.",
    "answer_accuracy": "Share of the records for which the attack picks the true answer among several: the client that "
    "a record comes from, or a hidden value. Read it against the floor, which is a guess without the model.",
    "accuracy_gain": "How many more records the attack answers rightly than a guess without the model, as a share. "
    "The floor is the same gain on records that did not train the model.",
    "psnr": "Peak signal-to-noise ratio of the rebuilt image in dB, after matching outputs to records. Above about 25 "
    "dB people recognise the picture.",
    "ssim": "Structural similarity of the rebuilt image, 1 is identical.",
    "epsilon": "Privacy loss under differential privacy: the smaller, the less any attack on the released outputs can "
    "learn about one protected unit. The upper end of its bracket is what may be quoted.",
    "delta": "The probability with which the epsilon statement may fail. It must be far below one over the number of "
    "protected units.",
    "noise_multiplier": "Standard deviation of the noise on the sum, divided by the clipping norm.",
    "floor": "What the same metric shows without any attack. A figure near its floor shows no leakage.",
    "exit-0": "The run is complete.",
    "exit-1": "The run is complete and a finding meets --fail-on.",
    "exit-2": "Usage or configuration: the sentence says what to change.",
    "exit-3": "Incomplete: what was computed is kept; the same command resumes.",
    "exit-4": "A bug in the tool.",
    "exit-130": "Interrupted; what was finished is kept.",
}
