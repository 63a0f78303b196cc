//! The papers to cite.

use super::Kind;
use super::record::class;

/// Those of the kind of model, and of each loss that has one, once each.
pub(super) fn of(kind: &Kind<'_>, losses: &[String]) -> String {
    let own = kind.citations.iter().map(|name| ((*name).to_owned(), *name));
    let mut seen = Vec::new();
    let mut text = String::new();
    for (title, name) in own.chain(losses.iter().map(|loss| (class(loss), loss.as_str()))) {
        let Some((_, entry)) = CITATIONS.iter().find(|(names, _)| names.split(' ').any(|known| known == name)) else {
            continue;
        };
        if !seen.contains(entry) {
            seen.push(*entry);
            text += &format!("\n#### {title}\n\n```bibtex\n{entry}\n```\n");
        }
    }
    text
}

/// The names of losses, without `Loss`, and the entry.
const CITATIONS: [(&str, &str); 22] = [
    (
        "Sentence-BERT",
        "@inproceedings{reimers-2019-sentence-bert,
    title = \"Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks\",
    author = \"Reimers, Nils and Gurevych, Iryna\",
    booktitle = \"Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing\",
    year = \"2019\",
    url = \"https://arxiv.org/abs/1908.10084\",
}",
    ),
    (
        "ColBERT",
        "@inproceedings{khattab2020colbert,
    title={ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction over BERT},
    author={Omar Khattab and Matei Zaharia},
    booktitle={Proceedings of the 43rd International ACM SIGIR Conference},
    year={2020},
    url={https://arxiv.org/abs/2004.12832}
}",
    ),
    (
        "Splade",
        "@misc{formal2022distillationhardnegativesampling,
    title={From Distillation to Hard Negative Sampling: Making Sparse Neural IR Models More Effective},
    author={Thibault Formal and Carlos Lassance and Benjamin Piwowarski and St\u{e9}phane Clinchant},
    year={2022},
    eprint={2205.04733},
    archivePrefix={arXiv},
    primaryClass={cs.IR}
}",
    ),
    (
        "CSR",
        "@misc{wen2025matryoshkarevisitingsparsecoding,
    title={Beyond Matryoshka: Revisiting Sparse Coding for Adaptive Representation},
    author={Tiansheng Wen and Yifei Wang and Zequn Zeng and Zhong Peng and Yudi Su and Xinyang Liu and Bo Chen and \
         Hongwei Liu and Stefanie Jegelka and Chenyu You},
    year={2025},
    eprint={2503.01776},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}",
    ),
    (
        "Flops",
        "@article{paria2020minimizing,
    title={Minimizing flops to learn efficient sparse representations},
    author={Paria, Biswajit and Yeh, Chih-Kuan and Yen, Ian EH and Xu, Ning and Ravikumar, Pradeep and P{\\'o}czos, Barnab{\\'a}s},
    journal={arXiv preprint arXiv:2004.05665},
    year={2020}
}",
    ),
    (
        "MultipleNegativesRanking",
        "@misc{henderson2017efficient,
    title={Efficient Natural Language Response Suggestion for Smart Reply},
    author={Matthew Henderson and Rami Al-Rfou and Brian Strope and Yun-hsuan Sung and Laszlo Lukacs and Ruiqi Guo and Sanjiv Kumar and Balint Miklos and Ray Kurzweil},
    year={2017},
    eprint={1705.00652},
    archivePrefix={arXiv},
    primaryClass={cs.CL}
}",
    ),
    (
        "InfoNCE",
        "@misc{oord2019representationlearningcontrastivepredictive,
    title={Representation Learning with Contrastive Predictive Coding},
    author={Aaron van den Oord and Yazhe Li and Oriol Vinyals},
    year={2019},
    eprint={1807.03748},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}",
    ),
    (
        "Matryoshka",
        "@misc{kusupati2024matryoshka,
    title={Matryoshka Representation Learning},
    author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and Aditya Sinha and Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and Sham Kakade and Prateek Jain and Ali Farhadi},
    year={2024},
    eprint={2205.13147},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}",
    ),
    (
        "GISTEmbed",
        "@misc{solatorio2024gistembed,
    title={GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding Fine-tuning},
    author={Aivin V. Solatorio},
    year={2024},
    eprint={2402.16829},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}",
    ),
    (
        "CoSENT",
        "@article{10531646,
    author={Huang, Xiang and Peng, Hao and Zou, Dongcheng and Liu, Zhiwei and Li, Jianxin and Liu, Kay and Wu, Jia and Su, Jianlin and Yu, Philip S.},
    journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing},
    title={CoSENT: Consistent Sentence Embedding via Similarity Ranking},
    year={2024},
    doi={10.1109/TASLP.2024.3402087}
}",
    ),
    (
        "AnglE",
        "@inproceedings{li-li-2024-aoe,
    title = \"{A}o{E}: Angle-optimized Embeddings for Semantic Textual Similarity\",
    author = \"Li, Xianming and Li, Jing\",
    year = \"2024\",
    publisher = \"Association for Computational Linguistics\",
    url = \"https://aclanthology.org/2024.acl-long.101/\",
    doi = \"10.18653/v1/2024.acl-long.101\"
}",
    ),
    (
        "Triplet BatchAllTriplet BatchHardTriplet BatchHardSoftMarginTriplet BatchSemiHardTriplet",
        "@misc{hermans2017defense,
    title={In Defense of the Triplet Loss for Person Re-Identification},
    author={Alexander Hermans and Lucas Beyer and Bastian Leibe},
    year={2017},
    eprint={1703.07737},
    archivePrefix={arXiv},
    primaryClass={cs.CV}
}",
    ),
    (
        "Contrastive OnlineContrastive",
        "@inproceedings{hadsell2006dimensionality,
    author={Hadsell, R. and Chopra, S. and LeCun, Y.},
    booktitle={2006 IEEE Computer Society Conference on Computer Vision and Pattern Recognition (CVPR'06)},
    title={Dimensionality Reduction by Learning an Invariant Mapping},
    year={2006},
    volume={2},
    pages={1735-1742},
    doi={10.1109/CVPR.2006.100}
}",
    ),
    (
        "MarginMSE",
        "@misc{hofst\u{e4}tter2021improving,
    title={Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation},
    author={Sebastian Hofst\u{e4}tter and Sophia Althammer and Michael Schr\u{f6}der and Mete Sertkan and Allan Hanbury},
    year={2021},
    eprint={2010.02666},
    archivePrefix={arXiv},
    primaryClass={cs.IR}
}",
    ),
    (
        "DistillKLDiv",
        "@misc{lin2020distillingdenserepresentationsranking,
    title={Distilling Dense Representations for Ranking using Tightly-Coupled Teachers},
    author={Sheng-Chieh Lin and Jheng-Hong Yang and Jimmy Lin},
    year={2020},
    eprint={2010.11386},
    archivePrefix={arXiv},
    primaryClass={cs.IR}
}",
    ),
    (
        "MegaBatchMargin",
        "@inproceedings{wieting-gimpel-2018-paranmt,
    title = \"{P}ara{NMT}-50{M}: Pushing the Limits of Paraphrastic Sentence Embeddings with Millions of Machine Translations\",
    author = \"Wieting, John and Gimpel, Kevin\",
    booktitle = \"Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)\",
    year = \"2018\",
    url = \"https://aclanthology.org/P18-1042\"
}",
    ),
    (
        "GlobalOrthogonalRegularization",
        "@misc{zhang2017learningspreadoutlocalfeature,
    title={Learning Spread-out Local Feature Descriptors},
    author={Xu Zhang and Felix X. Yu and Sanjiv Kumar and Shih-Fu Chang},
    year={2017},
    eprint={1708.06320},
    archivePrefix={arXiv},
    primaryClass={cs.CV}
}",
    ),
    (
        "Lambda LambdaLoss",
        "@inproceedings{wang2018lambdaloss,
    title={The LambdaLoss Framework for Ranking Metric Optimization},
    author={Wang, Xuanhui and Li, Cheng and Golbandi, Nadav and Bendersky, Michael and Najork, Marc},
    booktitle={Proceedings of the 27th ACM international conference on information and knowledge management},
    pages={1313--1322},
    year={2018}
}",
    ),
    (
        "ListMLE PListMLE",
        "@inproceedings{xia2008listwise,
    title = {Listwise Approach to Learning to Rank - Theory and Algorithm},
    author = {Xia, Fen and Liu, Tie-Yan and Wang, Jue and Zhang, Wensheng and Li, Hang},
    booktitle = {Proceedings of the 25th International Conference on Machine Learning},
    pages = {1192-1199},
    year = {2008},
    url = {https://doi.org/10.1145/1390156.1390306}
}",
    ),
    (
        "ListNet",
        "@inproceedings{cao2007learning,
    title={Learning to Rank: From Pairwise Approach to Listwise Approach},
    author={Cao, Zhe and Qin, Tao and Liu, Tie-Yan and Tsai, Ming-Feng and Li, Hang},
    booktitle={Proceedings of the 24th international conference on Machine learning},
    pages={129--136},
    year={2007}
}",
    ),
    (
        "RankNet",
        "@inproceedings{burges2005learning,
    title={Learning to Rank using Gradient Descent},
    author={Burges, Chris and Shaked, Tal and Renshaw, Erin and Lazier, Ari and Deeds, Matt and Hamilton, Nicole and Hullender, Greg},
    booktitle={Proceedings of the 22nd international conference on Machine learning},
    pages={89--96},
    year={2005}
}",
    ),
    (
        "ADRMSE",
        "@inproceedings{schlatt2025rankdistillm,
    title={Rank-DistiLLM: Closing the Effectiveness Gap Between Cross-Encoders and LLMs for Passage Re-ranking},
    author={Schlatt, Ferdinand and Fr\u{f6}be, Maik and Scells, Harrisen and Zhuang, Shengyao and Koopman, Bevan and Zuccon, Guido and Stein, Benno and Potthast, Martin and Hagen, Matthias},
    booktitle={Advances in Information Retrieval (ECIR 2025)},
    year={2025}
}",
    ),
];
