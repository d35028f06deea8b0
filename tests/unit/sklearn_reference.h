/* SPDX-License-Identifier: Apache-2.0 */
/* Made by analysis/peers/reference_sklearn.py with scikit-learn 1.2.1 and statsmodels 0.13.5+dfsg;
 * do not edit. */
/* clang-format off */
static const double sklearn_two_accuracy = 0.80000000000000004;
static const double sklearn_two_log_loss = 0.6654718211294679;
static const double sklearn_two_balanced_accuracy = 0.80013001300130016;
static const double sklearn_two_macro_f1 = 0.79999499987499689;
static const double sklearn_two_matthews = 0.60035009427919728;
static const double sklearn_two_micro_f1 = 0.80000000000000016;
static const double sklearn_two_weighted_f1 = 0.7999849996249907;
static const double sklearn_two_cohen_kappa = 0.6000799840031994;
static const double sklearn_two_auc = 0.79566706670667076;
static const double sklearn_two_average_precision = 0.75960954435225259;
static const double sklearn_two_brier = 0.18666728681639605;
static const double sklearn_two_calibration_error = 0.14319878903777153;
static const int sklearn_two_confusion[] = {161, 37, 43, 159};
static const double sklearn_two_reliability[] = {
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    18, 0.51647986123900347, 0.88888888888888884,
    31, 0.56828400115477773, 0.83870967741935487,
    31, 0.63051233565355413, 0.77419354838709675,
    31, 0.70165090627088189, 0.80645161290322576,
    40, 0.76964475765694651, 0.77500000000000002,
    43, 0.8372615977414769, 0.81395348837209303,
    60, 0.90133686166015392, 0.73333333333333328,
    146, 0.97392703805925629, 0.81506849315068497,
};
static const double sklearn_four_accuracy = 0.69499999999999995;
static const double sklearn_four_log_loss = 1.2920970153028566;
static const double sklearn_four_balanced_accuracy = 0.69195164239290829;
static const double sklearn_four_macro_f1 = 0.69295316964159426;
static const double sklearn_four_matthews = 0.59248022991260885;
static const double sklearn_four_micro_f1 = 0.69499999999999995;
static const double sklearn_four_weighted_f1 = 0.69455678410794608;
static const double sklearn_four_cohen_kappa = 0.59186404389134206;
static const double sklearn_four_auc = 0.78366935741294452;
static const double sklearn_four_average_precision = 0.5946129114724501;
static const double sklearn_four_brier = 0.56693606882381975;
static const double sklearn_four_calibration_error = 0.14697449861612985;
static const int sklearn_four_confusion[] = {84, 7, 9, 10, 8, 60, 13, 12, 12, 7, 61, 11, 16, 7, 10, 73};
static const double sklearn_four_reliability[] = {
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    7, 0.25676452037873759, 0.8571428571428571,
    18, 0.30019086791136657, 0.77777777777777779,
    19, 0.36429916080248759, 0.78947368421052633,
    16, 0.43012662240965294, 0.75,
    35, 0.50585592807859192, 0.65714285714285714,
    41, 0.56970014082976783, 0.53658536585365857,
    45, 0.6309826369103595, 0.66666666666666663,
    40, 0.69617269908395585, 0.75,
    66, 0.766092049688608, 0.75757575757575757,
    66, 0.82629094040785145, 0.68181818181818177,
    34, 0.90283902624448797, 0.61764705882352944,
    13, 0.9683746784373185, 0.76923076923076927,
};
static const double sklearn_absent_accuracy = 0.52249999999999996;
static const double sklearn_absent_log_loss = 1.4581907653028563;
static const double sklearn_absent_balanced_accuracy = 0.52533592358750203;
static const double sklearn_absent_macro_f1 = 0.45356921138830053;
static const double sklearn_absent_matthews = 0.39074069124385352;
static const double sklearn_absent_micro_f1 = 0.52249999999999996;
static const double sklearn_absent_weighted_f1 = 0.600514980679001;
static const double sklearn_absent_cohen_kappa = 0.36522707256684217;
static const double sklearn_absent_auc = 0.75266747392490008;
static const double sklearn_absent_average_precision = 0.61163061181253287;
static const double sklearn_absent_brier = 0.69695903935944048;
static const double sklearn_absent_calibration_error = 0.17420491915150546;
static const int sklearn_absent_confusion[] = {83, 6, 18, 35, 18, 66, 15, 17, 19, 9, 60, 54, 0, 0, 0, 0};
static const double sklearn_absent_reliability[] = {
    0, 0, 0,
    0, 0, 0,
    0, 0, 0,
    7, 0.25676452037873759, 0.5714285714285714,
    18, 0.30019086791136657, 0.33333333333333331,
    19, 0.36429916080248759, 0.42105263157894735,
    16, 0.43012662240965294, 0.5625,
    35, 0.50585592807859192, 0.42857142857142855,
    41, 0.56970014082976783, 0.51219512195121952,
    45, 0.6309826369103595, 0.55555555555555558,
    40, 0.69617269908395585, 0.52500000000000002,
    66, 0.766092049688608, 0.51515151515151514,
    66, 0.82629094040785145, 0.59090909090909094,
    34, 0.90283902624448797, 0.6470588235294118,
    13, 0.9683746784373185, 0.38461538461538464,
};
static const double sklearn_sensitivity = 0.78712871287128716;
static const double sklearn_specificity = 0.81313131313131315;
static const double sklearn_positive_predictive_value = 0.81122448979591832;
static const double sklearn_negative_predictive_value = 0.78921568627450978;
static const double sklearn_observed_expected = 1.0191698330331023;
static const double sklearn_net_benefit_10 = 0.42555555555555558;
static const double sklearn_net_benefit_35 = 0.31961538461538458;
static const double sklearn_net_benefit_80 = 0.019999999999999928;
static const double sklearn_calibration_slope = 0.44030991396997876;
static const double sklearn_calibration_intercept = 0.079687834534341806;
static const double sklearn_hosmer_lemeshow = 338.97256053394608;
static const double sklearn_hosmer_lemeshow_p = 8.7032321651341375e-67;
static const double sklearn_calibration_slope_steep = 0.17738848664391479;
static const double sklearn_calibration_intercept_steep = -5.2099696788126177;
static const double sklearn_hosmer_lemeshow_steep = 4013.4452746217821;
static const double sklearn_hosmer_lemeshow_p_steep = 0;
static const double sklearn_top_3_accuracy = 0.73250000000000004;
static const double sklearn_top_5_accuracy = 0.88;
static const double sklearn_mse = 0.89797668457031254;
static const double sklearn_mae = 0.78144531250000004;
static const double sklearn_r2 = 0.91060461079439392;
static const double sklearn_poisson_deviance = 0.21843752683410211;
